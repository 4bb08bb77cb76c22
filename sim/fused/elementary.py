"""What generated code calls: elementary functions in C++ and CUDA."""

HELPERS = """
typedef {real} real;
HD real fmin_(real a, real b) {{ return b < a ? b : a; }}
HD real fmax_(real a, real b) {{ return b > a ? b : a; }}
HD real abs_(real a) {{ return a < 0 ? -a : a; }}
HD bool finite_(real a) {{ return a - a == 0; }}
HD unsigned hi_(unsigned a, unsigned b) {{ return (unsigned)((unsigned long long)a * b >> 32); }}
HD real unit_(unsigned a) {{ return (real)(int)(a >> 8) * (real)5.9604644775390625e-8; }}
{functions}
"""

LIBRARY = """
HD real sqrt_(real a) {{ return sqrt{f}(a); }}
HD real exp_(real a) {{ return exp{f}(a); }}
HD real log_(real a) {{ return log{f}(a); }}
HD real floor_(real a) {{ return floor{f}(a); }}
HD real sin_(real a) {{ return sin{f}(a); }}
HD real cos_(real a) {{ return cos{f}(a); }}
HD real tanh_(real a) {{ return tanh{f}(a); }}
"""

# Single precision, written out so that the compiler can vectorise it; within 2 units in the last place. Coefficients: Cephes
# (Moshier 1992) for exp, log and sin/cos, argument reduction by Cody and Waite (1980).
VECTORISED = """
HD real sqrt_(real a) { return __builtin_sqrtf(a); }
HD real scale_(real a, int k) { int bits = (k + 127) << 23; real two_k; __builtin_memcpy(&two_k, &bits, 4); return a * two_k; }
HD real exp_(real x) {
  real c = x < -87.0f ? -87.0f : x; c = c > 88.0f ? 88.0f : c;
  real k = c * 1.44269504088896341f; k = k + 12582912.0f; int n = 0; __builtin_memcpy(&n, &k, 4); n -= 0x4B400000; k = k - 12582912.0f;
  real r = c - k * 0.693359375f; r = r + k * 2.12194440e-4f;
  real p = 1.9875691500e-4f; p = p * r + 1.3981999507e-3f; p = p * r + 8.3334519073e-3f; p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f; p = p * r + 5.0000001201e-1f;
  return x != x ? x : (x > 88.7f ? (real)INFINITY : (x < -87.3f ? 0.0f : scale_(p * r * r + r + 1.0f, n)));
}
HD real floor_(real x) { return __builtin_floorf(x); }
HD real log_(real x) {
  int bits = 0; __builtin_memcpy(&bits, &x, 4);
  int e = ((bits >> 23) & 255) - 126; bits = (bits & 0x7fffff) | 0x3f000000;
  real m = 0; __builtin_memcpy(&m, &bits, 4);
  int low = m < 0.707106781186547524f; e = e - low; m = low ? m + m - 1.0f : m - 1.0f;
  real z = m * m, k = (real)e;
  real p = 7.0376836292e-2f; p = p * m - 1.1514610310e-1f; p = p * m + 1.1676998740e-1f; p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f; p = p * m - 1.6668057665e-1f; p = p * m + 2.0000714765e-1f; p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  real y = p * m * z - 2.12194440e-4f * k - 0.5f * z + m + 0.693359375f * k;
  y = x < 1.17549435e-38f ? -(real)INFINITY : y;  // too small to be normal counts as zero
  y = x < 0 ? (real)NAN : y;
  return x - x == 0 ? y : (x > 0 ? x : (real)NAN);
}
HD real wave_(real x, int shift) {
  real k = x * 0.636619772367581343f; k = k + 12582912.0f; int n = 0; __builtin_memcpy(&n, &k, 4); n = n + shift; k = k - 12582912.0f;
  real r = x - k * 1.5703125f; r = r - k * 4.837512969970703125e-4f; r = r - k * 7.549789948768648e-8f;
  real z = r * r;
  real s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
  real c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1.0f;
  real y = (n & 1) ? c : s;
  return (n & 2) ? -y : y;
}
HD real sin_(real x) { return wave_(x, 0); }
HD real cos_(real x) { return wave_(x, 1); }
HD real tanh_(real x) {
  real a = abs_(x), e = exp_(-2.0f * a), z = x * x;
  real big = (1.0f - e) / (1.0f + e);
  real small = ((((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z + 1.33314422036e-1f) * z
    - 3.33332819422e-1f) * z * a + a;
  real y = a < 0.625f ? small : big;
  return x < 0 ? -y : y;
}
"""


def helpers(real: str) -> str:
    """Definitions for a precision, ``float`` or ``double``."""
    library = LIBRARY.format(f="f" if real == "float" else "")
    own = f"#ifdef __CUDACC__\n{library}\n#else\n{VECTORISED}\n#endif" if real == "float" else library
    return HELPERS.format(real=real, functions=own)
