"""What every learner climbs, against finite differences of a plain loop in float64."""

from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy

from metarl.math.parameters import flatten
from metarl.supervised.examples import Examples, keyed_generator
from metarl.supervised.learners.reptile import parts
from metarl.supervised.learners.statistician import Normal, divergence
from tests.support.tiny_labelled import (
    assert_slope,
    doubled,
    draw,
    one,
    tiny_learner,
    tiny_model,
)

ALPHA, TASKS = 0.3, 3


def gradient(loss, theta):
    leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
    found = torch.autograd.grad(loss(leaves), list(leaves.values()), allow_unused=True)
    return {
        n: torch.zeros_like(v) if g is None else g for (n, v), g in zip(leaves.items(), found, strict=True)
    }


def climbed(name, model, source, **settings):
    """The parameters, three tasks, and the direction of the learner's first outer step.

    Adam's first moment after it is a tenth of the direction, downwards.
    """
    learner = tiny_learner(name, model, **settings)
    theta = doubled(learner.initial_parameters(torch.Generator().manual_seed(0)))
    episodes = draw(source)
    moments = learner.update(learner.start(theta), episodes).state.optimiser
    return theta, episodes, {n: -10 * value for n, value in moments.exp_avg.items()}


def mean_loss(episodes, loss):
    tasks = [(one(episodes.support, i), one(episodes.query, i)) for i in range(TASKS)]
    return torch.stack([loss(support, query) for support, query in tasks]).mean()


def outputs(model, theta, examples):
    return model.network.apply(theta, examples.x)


def loss_at(model, theta, examples):
    return cross_entropy(outputs(model, theta, examples), examples.y)


def test_anil_moves_the_head_alone():
    model, source = tiny_model()
    theta, episodes, found = climbed("anil", model, source, inner_step_size=ALPHA, inner_steps=(2,))

    def objective(at):
        def loss(support, query):
            phi = at
            for _ in range(2):
                slopes = gradient(partial(loss_at, model, examples=support), phi)
                phi = {n: v - ALPHA * slopes[n] if n.startswith("head") else v for n, v in phi.items()}
            return loss_at(model, phi, query)

        return -mean_loss(episodes, loss)

    assert_slope(found, objective, theta)


def test_meta_sgd_learns_every_step_size():
    model, source = tiny_model()
    theta, episodes, found = climbed("meta_sgd", model, source, inner_step_size=ALPHA)
    own = [name for name in theta if not name.startswith("step_size.")]

    def objective(at):
        def loss(support, query):
            slopes = gradient(partial(loss_at, model, examples=support), {n: at[n] for n in own})
            return loss_at(model, {n: at[n] - at[f"step_size.{n}"] * slopes[n] for n in own}, query)

        return -mean_loss(episodes, loss)

    assert_slope(found, objective, theta)
    assert len(theta) == 2 * len(own)


def test_maml_pp_weighs_every_steps_loss_with_its_own_sizes_and_norms():
    model, source = tiny_model(transductive=False)
    theta, episodes, found = climbed("maml_pp", model, source, inner_step_size=ALPHA, inner_steps=3)
    own = [name for name in theta if not name.startswith("step_size.")]
    assert theta["norm.0.weight"].shape == (3, 4)

    def at_step(phi, k):
        return {n: v[k] if n.startswith("norm") else v for n, v in phi.items()}

    def objective(at):
        def loss(support, query):
            phi, total = {n: at[n] for n in own}, 0.0
            for k in range(3):
                slopes = gradient(lambda leaves, k=k: loss_at(model, at_step(leaves, k), support), phi)
                sizes = {n: at[f"step_size.{k}.{n.rsplit('.', 1)[0]}"] for n in own}
                phi = {n: phi[n] - sizes[n] * slopes[n] for n in own}
                judged = model.network.apply_beside(at_step(phi, k), support.x, query.x)
                total = total + cross_entropy(judged, query.y) / 3
            return total

        return -mean_loss(episodes, loss)

    assert_slope(found, objective, theta)


def test_reptile_moves_by_the_mean_displacement():
    model, source = tiny_model()
    theta, episodes, found = climbed("reptile", model, source, inner_step_size=ALPHA, inner_steps=2)
    moves = []
    for i in range(TASKS):
        phi = theta
        for part in parts(episodes, 2):
            slopes = gradient(partial(loss_at, model, examples=one(part, i)), phi)
            phi = {n: v - ALPHA * slopes[n] for n, v in phi.items()}
        moves.append(flatten(phi) - flatten(theta))
    torch.testing.assert_close(flatten({n: found[n] for n in theta}), torch.stack(moves).mean(0))


def test_imaml_differentiates_the_solutions():
    model, source = tiny_model(noise=0.1)
    settings = {"regularisation": 20.0, "solver_steps": 100, "inner_step_size": 0.04}
    precise = {"solution_cg_iterations": 60, "solution_cg_tolerance": 1e-24}
    theta, episodes, found = climbed("imaml", model, source, **settings, **precise)

    def objective(at):
        def loss(support, query):
            phi = at
            for _ in range(100):
                slopes = gradient(partial(loss_at, model, examples=support), phi)
                phi = {n: v - 0.04 * (slopes[n] + 20.0 * (v - at[n])) for n, v in phi.items()}
            return loss_at(model, phi, query).detach()

        return -mean_loss(episodes, loss)

    assert_slope(found, objective, theta, rel=1e-4)


@pytest.mark.parametrize("adaptation", ["fine_tuning", "nearest_centroids"])
def test_pre_training_knows_classes_and_not_labels(adaptation):
    model, source = tiny_model()
    theta, episodes, found = climbed("pre_training", model, source, adaptation=adaptation)
    assert theta["head.weight"].shape[0] == 8

    def objective(at):
        losses = []
        for i in range(TASKS):
            both = [one(part, i) for part in episodes[:2]]
            x, y = (torch.cat(values) for values in zip(*both, strict=True))
            losses.append(loss_at(model, at, Examples(x, episodes.classes[i][y])))
        return -torch.stack(losses).mean()

    assert_slope(found, objective, theta)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("prototypical", {}),
        ("matching", {}),
        ("matching", {"full_context": True, "reads": 2}),
        ("memory_augmented", {"slots": 6, "slot_size": 4, "controller_size": 5}),
    ],
)
def test_comparing_learners_climb_the_likelihood_of_queries(name, settings):
    model, source = tiny_model()
    learner = tiny_learner(name, model, **settings)
    theta, episodes, found = climbed(name, model, source, **settings)

    def objective(at):
        def loss(support, query):
            return cross_entropy(learner.predict(at, support, query.x, 0)[0], query.y)

        return -mean_loss(episodes, loss).detach()

    assert_slope(found, objective, theta)


def test_the_statistician_climbs_the_bound_of_every_classs_images():
    """Written out for every class: reconstruction, the examples' divergences and the set's."""
    model, source = tiny_model()
    sizes = {"code_size": 3, "example_code_size": 2, "hidden_size": 5}
    theta, episodes, found = climbed("statistician", model, source, **sizes)
    keys = episodes.classes.flatten().tolist()
    generator = keyed_generator(0, *keys)
    set_noise = torch.randn(TASKS, 3, 3, generator=generator).double()
    noise = torch.randn(TASKS, 12, 2, generator=generator).double()

    def through(at, name, x):
        hidden = (x @ at[f"{name}.0.weight"].T + at[f"{name}.0.bias"]).clamp(min=0)
        return hidden @ at[f"{name}.1.weight"].T + at[f"{name}.1.bias"]

    def parts_of(at, name, x):
        out = through(at, name, x)
        half = out.shape[-1] // 2
        return out[..., :half], out[..., half:]

    def kl(mean, log_variance, other_mean, other_log_variance):
        one, other = (
            torch.distributions.Normal(m, (v / 2).exp())
            for m, v in ((mean, log_variance), (other_mean, other_log_variance))
        )
        return torch.distributions.kl_divergence(one, other).sum()

    def objective(at):
        total = 0.0
        for i in range(TASKS):
            x = torch.cat([episodes.support.x[i], episodes.query.x[i]])
            y = torch.cat([episodes.support.y[i], episodes.query.y[i]])
            features = model.network.features(at, x, None)
            for k in range(3):
                mine = (y == k).nonzero().flatten()
                mean, log_variance = parts_of(at, "set", features[mine].mean(0))
                c = mean + (log_variance / 2).exp() * set_noise[i, k]
                total = total - kl(mean, log_variance, torch.zeros(3), torch.zeros(3))
                prior = parts_of(at, "prior", c)
                for j in mine.tolist():
                    z_mean, z_log_variance = parts_of(at, "example", torch.cat([features[j], c]))
                    z = z_mean + (z_log_variance / 2).exp() * noise[i, j]
                    pixels = through(at, "image", torch.cat([z, c]))
                    image = torch.distributions.Bernoulli(logits=pixels, validate_args=False)
                    total = total + image.log_prob(x[j].flatten()).sum() - kl(z_mean, z_log_variance, *prior)
        return (total / TASKS / 12).detach()

    assert_slope(found, objective, theta)


def test_divergences_are_torchs():
    generator = torch.Generator().manual_seed(0)
    one, other = (Normal(*torch.randn(2, 4, 5, generator=generator)) for _ in range(2))
    expected = torch.distributions.kl_divergence(
        *(torch.distributions.Normal(each.mean, (each.log_variance / 2).exp()) for each in (one, other))
    )
    torch.testing.assert_close(divergence(one, other), expected.sum(-1))


def test_maml_pp_tells_how_much_the_last_step_weighs():
    """(Antoniou et al. 2019, section 4): all alike at first, and the last alone at the end."""
    model, source = tiny_model()
    learner = tiny_learner("maml_pp", model, inner_steps=3, multi_step_updates=4)
    state = learner.start(doubled(learner.initial_parameters(torch.Generator().manual_seed(0))))
    for updates in range(6):
        state, metrics, _ = learner.update(state, draw(source))
        earlier = max(1 - updates / 4, 0.03) / 3 if updates < 4 else 0.0
        assert metrics["final_step_weight"] == pytest.approx(1 - 2 * earlier)
