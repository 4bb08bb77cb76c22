"""What generated code calls: elementary functions in C++ and CUDA."""

HELPERS = """
typedef {real} real;
HD real fmin_(real a, real b) {{ return b < a ? b : a; }}
HD real fmax_(real a, real b) {{ return b > a ? b : a; }}
HD real abs_(real a) {{ return a < 0 ? -a : a; }}
HD bool finite_(real a) {{ return a - a == 0; }}
{functions}
"""

LIBRARY = """
HD real sqrt_(real a) {{ return sqrt{f}(a); }}
HD real exp_(real a) {{ return exp{f}(a); }}
HD real sin_(real a) {{ return sin{f}(a); }}
HD real cos_(real a) {{ return cos{f}(a); }}
HD real tanh_(real a) {{ return tanh{f}(a); }}
"""

# Single precision, written out so that the compiler can vectorise it; within 2 units in the last place. Coefficients: Cephes
# (Moshier 1992) for exp and sin/cos, argument reduction by Cody and Waite (1980).
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
