"""Quantile regression against the formula of all pairs, known distributions and finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.quantiles import coverage_error, drawn, midpoints, quantile_loss, sample_replacement, transform_histogram, utility
from training.risk_measures import risk_value, weights

WALKS = 32


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_pairs(quantiles: Tensor, targets: Tensor, kappa: float) -> Tensor:
    """The loss as it is written."""
    errors = targets.unsqueeze(-2) - quantiles.unsqueeze(-1)
    huber = torch.where(errors.abs() <= kappa, 0.5 * errors.square(), kappa * (errors.abs() - 0.5 * kappa))
    weight = (midpoints(quantiles).unsqueeze(-1) - (errors < 0).to(errors.dtype)).abs()
    return (weight * huber / kappa).mean((-1, -2))


@pytest.mark.parametrize("kappa", [1e-3, 0.3, 5.0])
def test_loss_and_gradient_are_those_of_all_pairs(kappa: float) -> None:
    quantiles = torch.randn(3, 4, 7, dtype=torch.float64, generator=generator(1), requires_grad=True)
    targets = torch.randn(3, 4, 11, dtype=torch.float64, generator=generator(2))
    expected, found = all_pairs(quantiles, targets, kappa), quantile_loss(quantiles, targets, kappa)
    torch.testing.assert_close(found, expected)
    share = torch.randn(3, 4, dtype=torch.float64, generator=generator(3))
    gradients = [torch.autograd.grad((loss * share).sum(), quantiles)[0] for loss in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_loss_with_targets_of_one_value_and_far_away() -> None:
    quantiles = torch.tensor([[0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    for value in (1.0, 1e4, -1e4):
        targets = torch.full((1, 5), value, dtype=torch.float64)
        torch.testing.assert_close(quantile_loss(quantiles, targets, 0.01), all_pairs(quantiles, targets, 0.01))


def test_chain_with_a_known_distribution_is_learned() -> None:
    """Ten steps of ±1, the walk ends after them; every state's return is a shifted binomial. Worst error against the range ≤ 0.02."""
    steps, count, gen = 10, 32, generator(4)
    logits = torch.zeros(steps, count, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for iteration in range(1200):
        optimizer.param_groups[0]["lr"] = 0.05 * 0.1 ** (iteration / 500)
        rewards = torch.randint(2, (steps, WALKS), generator=gen).float() * 2.0 - 1.0
        values = torch.cat([logits.detach().sort(-1).values, torch.zeros(1, count)]).unsqueeze(1).expand(-1, WALKS, -1)
        done = torch.zeros(steps, WALKS, dtype=torch.bool)
        done[-1] = True
        replaced = torch.rand(steps, WALKS, count, generator=gen) < 0.9
        targets = sample_replacement(rewards, values, done, torch.zeros(steps, WALKS, count), replaced, 1.0)
        loss = quantile_loss(logits, targets.flatten(1), 0.01 * steps).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    worst = 0.0
    for state in range(steps):
        left = steps - state
        exact = torch.distributions.Binomial(left, torch.tensor(0.5))
        cdf = exact.log_prob(torch.arange(left + 1.0)).exp().cumsum(0)
        # between two steps of the distribution function any value of the step is a quantile: levels that lie on one are left out
        levels = midpoints(logits)
        clear = (levels.unsqueeze(1) - cdf).abs().amin(1) > 0.03
        found = 2.0 * torch.searchsorted(cdf, levels) - left
        error = (logits[state].detach().sort().values - found).abs()[clear].max()
        worst = max(worst, float(error) / (2.0 * steps))
    assert worst <= 0.02


def test_sample_replacement_has_the_mean_of_the_lambda_return() -> None:
    from training.ppo import advantages

    horizon, envs, count, discount, trace = 6, 3, 4000, 0.9, 0.7
    rewards = torch.randn(horizon, envs, dtype=torch.float64, generator=generator(5))
    values = torch.randn(horizon + 1, envs, 1, dtype=torch.float64, generator=generator(6)).expand(-1, -1, count)
    done = torch.zeros(horizon, envs, dtype=torch.bool)
    done[2, 0] = done[4, 1] = True
    final = torch.zeros(horizon, envs, count, dtype=torch.float64)
    final[2, 0] = 5.0  # cut by time; the other one failed
    replaced = torch.rand(horizon, envs, count, generator=generator(7)) < trace
    found = sample_replacement(rewards, values, done, final, replaced, discount).mean(-1)
    means = values[..., 0]
    expected = advantages(rewards + discount * final[..., 0], means, done, discount, trace) + means[:-1]
    torch.testing.assert_close(found, expected, atol=0.06, rtol=0.0)


def test_a_cut_episode_keeps_the_spread_of_what_follows() -> None:
    """A scalar added to every quantile instead would leave none."""
    values, final = torch.zeros(2, 1, 5), torch.arange(5.0).view(1, 1, 5)
    done, never = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, 5, dtype=torch.bool)
    found = sample_replacement(torch.ones(1, 1), values, done, final, never, 0.5)
    assert found.flatten().tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]


@pytest.mark.parametrize(("measure", "level"), [("neutral", 1.0), ("cvar", 0.3), ("wang", 0.8), ("mean_cvar", 0.2)])
def test_utility_moves_as_the_measure_does(measure: str, level: float) -> None:
    """Move a distribution a little: the measure's change is the mean change of utility, by finite differences."""
    count = 2000
    quantiles = torch.randn(count, dtype=torch.float64, generator=generator(8)).sort().values
    weight = weights(measure, torch.tensor(level, dtype=torch.float64), count)
    moved = quantiles + 1e-5 * (quantiles.sin() + 2.0)
    change = risk_value(moved, weight) - risk_value(quantiles, weight)
    worth = (utility(moved, quantiles, weight) - utility(quantiles, quantiles, weight)).mean()
    assert float(worth) == pytest.approx(float(change), rel=1e-3)


def test_utility_of_the_tail_is_what_lies_below_its_quantile() -> None:
    quantiles, samples = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([-2.0, 0.2, 1.4, 1.6, 9.0])
    found = utility(samples, quantiles, weights("cvar", 0.5, 4))
    torch.testing.assert_close(found - found[0], 2.0 * (samples.clamp(max=1.5) + 2.0))
    torch.testing.assert_close(utility(samples, quantiles, weights("neutral", 1.0, 4)), samples)


def test_utility_is_continuous_and_has_the_slope_it_says() -> None:
    quantiles = torch.randn(3, 8, dtype=torch.float64, generator=generator(9))
    weight = weights("wang", torch.tensor([0.3, 0.9, 1.5], dtype=torch.float64), 8)
    samples = torch.randn(3, 50, dtype=torch.float64, generator=generator(10), requires_grad=True)
    torch.autograd.gradcheck(lambda x: utility(x, quantiles, weight), samples)
    line = torch.linspace(-4, 4, 4001, dtype=torch.float64).expand(3, -1)
    assert utility(line, quantiles, weight).diff().abs().max() < 0.002 * 8 * float(weight.max()) + 1e-9


def test_coverage_tells_calibrated_quantiles_from_narrow_ones() -> None:
    sample = torch.randn(20_000, generator=generator(11))
    quantiles = torch.special.ndtri(midpoints(torch.zeros(32))).expand(20_000, 32)
    assert float(coverage_error(quantiles, sample)) < 0.02
    assert float(coverage_error(0.5 * quantiles, sample)) > 0.1
    flat, narrow = transform_histogram(quantiles, sample), transform_histogram(0.5 * quantiles, sample)
    assert float((flat - 0.1).abs().max()) < 0.03
    assert float(narrow[0] + narrow[-1]) > 0.3


def test_one_sample_of_each_state_is_drawn_evenly_of_every_rank() -> None:
    """Samples that are the quantiles themselves, as for λ = 0: one rank of them is a point, all in turn are the distribution."""
    horizon, num_envs, count = 3, 64, 32
    quantiles = torch.linspace(0.0, 1.0, count).expand(horizon, num_envs, count)
    one = drawn(quantiles, turn=5)
    assert one.shape == (horizon, num_envs)
    torch.testing.assert_close(one[0].sort().values, quantiles[0, 0].repeat_interleave(2))
    assert not torch.equal(one, drawn(quantiles, turn=6))
    assert float(coverage_error(quantiles, one)) < 0.02
    assert float(coverage_error(quantiles, quantiles[..., 5])) > 0.5, "which one rank alone is not"
