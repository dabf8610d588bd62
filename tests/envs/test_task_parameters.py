"""What a task parameter can be: how it is drawn, what it allows, how it is packed and widened."""

import numpy as np
import pytest
from metarl_envs.plane_parameters import Disc, Heading
from metarl_envs.task_parameters import Beyond, Choice, LogUniform, Uniform

N = 20_000
PARAMETERS = [
    Uniform(1.0, 3.0, default=2.0),
    Uniform((-1.0, 0.0), (1.0, 4.0), default=(0.0, 1.0)),
    LogUniform(3.0, (2, 3)),
    Choice((-1.0, 1.0, 5.0), default=1.0),
    Heading(),
    Disc(3.0, default=(1.0, 1.0)),
    Beyond(Uniform(0.0, 3.0, default=1.0), Uniform(0.0, 6.0, default=1.0)),
    Beyond(Disc(1.0, default=(0.0, 0.0)), Disc(2.0, default=(0.0, 0.0))),
]
every_parameter = pytest.mark.parametrize("parameter", PARAMETERS, ids=repr)


def drawn(parameter, n=N):
    return parameter.sample(n, np.random.default_rng(0))


@every_parameter
def test_what_is_drawn_is_allowed_and_so_is_the_default(parameter):
    values = drawn(parameter, 500)
    assert values.shape == (500, *parameter.shape)
    assert values.dtype == np.float64
    assert parameter.contains(values).all()
    assert parameter.contains(np.asarray(parameter.default, float)).shape == ()
    assert parameter.contains(np.asarray(parameter.default, float))


@every_parameter
def test_allowed_for_each_value_of_any_leading_shape(parameter):
    values = drawn(parameter, 6).reshape(2, 3, *parameter.shape)
    values[1, 2] = 1e9
    assert parameter.contains(values).tolist() == [[True, True, True], [True, True, False]]
    values[0, 1] = np.nan
    assert parameter.contains(values).tolist() == [[True, False, True], [True, True, False]]


@every_parameter
def test_packing_is_inverted(parameter):
    values = drawn(parameter, 50)
    packed = parameter.pack(values)
    assert packed.ndim == 2
    again = parameter.unpack(packed)
    np.testing.assert_allclose(again, values, rtol=1e-12, atol=1e-12)
    packed[...] = 99
    np.testing.assert_array_equal(values, drawn(parameter, 50))


def test_uniform_fills_its_box():
    values = drawn(PARAMETERS[1])
    np.testing.assert_allclose(values.min(0), [-1, 0], atol=0.01)
    np.testing.assert_allclose(values.max(0), [1, 4], atol=0.01)
    np.testing.assert_allclose(values.std(0), np.array([2, 4]) / np.sqrt(12), rtol=0.02)


def test_a_disc_is_uniform_in_area():
    """A ring is as likely as it is large, whatever its direction."""
    values = drawn(Disc(3.0, default=(0.0, 0.0)))
    distance, angle = np.hypot(*values.T), np.arctan2(values[:, 1], values[:, 0])
    for radius in (0.5, 1.0, 2.0, 2.9):
        assert (distance < radius).mean() == pytest.approx((radius / 3) ** 2, abs=0.015)
    np.testing.assert_allclose(np.histogram(angle, 8)[0] / N, 1 / 8, atol=0.01)
    np.testing.assert_allclose((values**2).mean(0), 9 / 4, rtol=0.03)


def test_the_edge_of_a_disc_belongs_to_it():
    disc = Disc(3.0, default=(0.0, 0.0))
    edge = np.array([[3.0, 0.0], [3 * np.cos(0.7), 3 * np.sin(0.7)], [2.2, 2.2], [0.0, -3.0001]])
    assert disc.contains(edge).tolist() == [True, True, False, False]


def test_multipliers_are_uniform_in_their_logarithm_and_independent():
    values = np.log(drawn(LogUniform(4.0, (2, 3)))) / np.log(4.0)
    np.testing.assert_allclose(values.min(0), -1, atol=0.01)
    np.testing.assert_allclose(values.max(0), 1, atol=0.01)
    np.testing.assert_allclose((values < 0.5).mean(0), 0.75, atol=0.02)
    correlation = np.corrcoef(values.reshape(N, 6).T)
    np.testing.assert_allclose(correlation, np.eye(6), atol=0.03)


def test_multipliers_are_packed_as_logarithms_and_headings_as_a_direction():
    multipliers = LogUniform(3.0, (2,))
    np.testing.assert_allclose(multipliers.pack(np.array([[1.0, np.e]])), [[0, 1]])
    np.testing.assert_allclose(Heading().pack(np.array([0.0, np.pi / 2])), [[1, 0], [0, 1]], atol=1e-15)
    np.testing.assert_allclose(Heading().unpack(np.array([[0.0, -1.0]])), [1.5 * np.pi])


def test_headings_are_the_whole_circle_and_may_be_told_as_negative():
    values = drawn(Heading())
    np.testing.assert_allclose(np.histogram(values, 8, (0, 2 * np.pi))[0] / N, 1 / 8, atol=0.01)
    assert Heading().contains(np.array([-1.0, 2 * np.pi, 7.0])).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("parameter", "wide"),
    [
        (Uniform(0.0, 3.0, default=1.0), Uniform(0.0, 6.0, default=1.0)),
        (Uniform(0.1, 0.2, default=0.1), Uniform(0.1, 0.3, default=0.1)),
        (Uniform(-1.0, 1.0, default=0.0), Uniform(-2.0, 2.0, default=0.0)),
        (
            Uniform((-0.5, 0.0), (0.5, 3.0), default=(0.0, 0.0)),
            Uniform((-1.0, 0.0), (1.0, 6.0), default=(0.0, 0.0)),
        ),
        (Disc(3.0, default=(1.0, 1.0)), Disc(6.0, default=(1.0, 1.0))),
        (LogUniform(1.5**3, (2,)), LogUniform(1.5**6, (2,))),
        (Choice((-1.0, 1.0), default=1.0), None),
        (Heading(), None),
    ],
    ids=repr,
)
def test_twice_as_wide(parameter, wide):
    widened = parameter.widened(2.0)
    if isinstance(wide, Uniform):
        np.testing.assert_allclose((widened.low, widened.high), (wide.low, wide.high), rtol=1e-12)
        assert (widened.default, widened.shape) == (wide.default, wide.shape)
    else:
        assert widened == wide


def test_a_range_grows_to_the_widest_and_a_single_value_not_at_all():
    angle = Uniform(0.0, np.pi, default=1.0, widest=2 * np.pi)
    assert angle.widened(1.5).high == pytest.approx(1.5 * np.pi)
    assert angle.widened(9.0).high == pytest.approx(2 * np.pi)
    assert angle.widened(9.0).widened(2.0) is None
    assert Uniform(1.0, 1.0, default=1.0).widened(2.0) is None


def test_beyond_is_drawn_uniformly_from_what_the_inner_range_leaves():
    values = drawn(PARAMETERS[6])
    np.testing.assert_allclose([values.min(), values.max(), values.mean()], [3, 6, 4.5], atol=0.03)
    distance = np.hypot(*drawn(PARAMETERS[7]).T)
    np.testing.assert_allclose([distance.min(), distance.max()], [1, 2], atol=0.01)
    assert (distance < 1.5).mean() == pytest.approx((1.5**2 - 1) / 3, abs=0.02)
    both = Beyond(PARAMETERS[1], PARAMETERS[1].widened(2.0))
    outside = drawn(both, 2000)
    assert not PARAMETERS[1].contains(outside).any()
    assert ((np.abs(outside) <= (2.0, 8.0)).all(-1)).all()


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        (Uniform(1.0, 3.0, default=2.0), "in [1.0, 3.0]"),
        (LogUniform(2.0, (3,)), "in [0.5, 2]"),
        (Choice((-1.0, 1.0), default=1.0), "one of (-1.0, 1.0)"),
        (Heading(), "in [-2 pi, 2 pi]"),
        (Disc(3.0, default=(1.0, 1.0)), "at most 3.0 from the origin"),
        (PARAMETERS[6], "in [0.0, 6.0]"),
    ],
    ids=repr,
)
def test_messages_say_what_is_allowed(parameter, text):
    assert str(parameter) == text
