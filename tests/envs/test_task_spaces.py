"""Fixed lists of tasks, tasks outside the usual range, and tasks as vectors."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from metarl_envs import TaskSpace, Uniform
from metarl_envs.plane_parameters import Heading
from metarl_envs.task_parameters import Choice, LogUniform
from metarl_envs.tasks import number_tasks

SPACE = TaskSpace(
    {
        "goal": Uniform((-1.0, 0.0), (1.0, 4.0), default=(0.5, 2.0)),
        "direction": Choice((-1.0, 1.0), default=1.0),
        "heading": Heading(),
        "mass": LogUniform(2.0, (2, 2)),
    }
)
DIRECTIONS = TaskSpace({"direction": Choice((-1.0, 1.0), default=1.0)})
FOUR = TaskSpace({"x": Choice((1.0, 2.0), default=1.0), "y": Choice((1.0, 2.0), default=1.0)})


def rows(space, *lists):
    return {tuple(row) for tasks in lists for row in space.pack(tasks)}


def test_training_and_held_out_tasks_are_all_different():
    train, held_out = SPACE.split(100, 30, seed=0)
    assert len(rows(SPACE, train)) == 100
    assert len(rows(SPACE, held_out)) == 30
    assert len(rows(SPACE, train, held_out)) == 130
    SPACE.validate_batch(train, 100)
    SPACE.validate_batch(held_out, 30)


def test_a_seed_fixes_them():
    assert data_equivalence(SPACE.split(5, 3, seed=1), SPACE.split(5, 3, seed=1), exact=True)
    assert not rows(SPACE, *SPACE.split(5, 3, seed=1)) & rows(SPACE, *SPACE.split(5, 3, seed=2))


def test_a_longer_training_list_begins_with_the_shorter():
    (short, _), (long, _) = SPACE.split(5, 3, seed=1), SPACE.split(9, 3, seed=1)
    for name, values in short.items():
        np.testing.assert_array_equal(long[name][:5], values)


def test_the_held_out_tasks_do_not_depend_on_how_many_are_trained_on():
    held_out = [SPACE.split(n, 3, seed=1)[1] for n in (2, 50)]
    assert data_equivalence(*held_out, exact=True)


@pytest.mark.parametrize("seed", range(10))
def test_few_tasks_are_shared_out_to_the_last(seed):
    train, held_out = FOUR.split(3, 1, seed=seed)
    assert len(rows(FOUR, train, held_out)) == 4
    assert rows(DIRECTIONS, *DIRECTIONS.split(1, 1, seed=seed)) == {(-1.0,), (1.0,)}


@pytest.mark.parametrize(
    ("space", "counts", "message"),
    [
        (DIRECTIONS, (2, 1), r"expected at most 2 different tasks, got 2 \+ 1"),
        (FOUR, (3, 2), r"expected at most 4 different tasks, got 3 \+ 2"),
        (SPACE, (0, 3), "expected train >= 1, got 0"),
        (SPACE, (3, -1), "expected held_out >= 1, got -1"),
    ],
)
def test_lists_that_cannot_be(space, counts, message):
    with pytest.raises(ValueError, match=message):
        space.split(*counts, seed=0)


def test_few_tasks_are_measured_in_turn_and_many_are_drawn():
    for space, number in ((DIRECTIONS, 2), (FOUR, 4)):
        held_out = space.sample_held_out(5 * number, np.random.default_rng(3))
        space.validate_batch(held_out, 5 * number)
        vectors = space.pack(held_out)
        assert len(rows(space, held_out)) == number
        np.testing.assert_array_equal(vectors, np.tile(vectors[:number], (5, 1)))
        np.testing.assert_array_equal(number_tasks(held_out), np.tile(np.arange(number), 5))
    drawn = (getattr(SPACE, name)(6, np.random.default_rng(3)) for name in ("sample", "sample_held_out"))
    assert data_equivalence(*drawn, exact=True)
    with pytest.raises(ValueError, match="tasks to sample >= 1, got 0"):
        FOUR.sample_held_out(0, np.random.default_rng(0))


def test_the_order_of_few_tasks_is_the_seeds():
    first = {FOUR.sample_held_out(1, np.random.default_rng(seed))["y"][0] for seed in range(20)}
    assert first == {1.0, 2.0}


def test_equal_tasks_have_equal_numbers():
    tasks = SPACE.sample(3, np.random.default_rng(0))
    again = {name: values[[1, 0, 1, 2]] for name, values in tasks.items()}
    np.testing.assert_array_equal(number_tasks(again), [0, 1, 0, 2])


def test_packing_keeps_the_order_and_the_tasks():
    tasks = SPACE.sample(7, np.random.default_rng(0))
    packed = SPACE.pack(tasks)
    assert packed.shape == (7, 2 + 1 + 2 + 4)
    np.testing.assert_array_equal(packed[:, :2], tasks["goal"])
    np.testing.assert_array_equal(packed[:, 2], tasks["direction"])
    np.testing.assert_array_equal(packed[:, 3], np.cos(tasks["heading"]))
    np.testing.assert_array_equal(packed[:, 5:], np.log(tasks["mass"]).reshape(7, 4))
    for name, values in SPACE.unpack(packed).items():
        np.testing.assert_allclose(values, tasks[name], rtol=1e-12)


@pytest.mark.parametrize("shape", [(9,), (2, 8), (2, 10), (1, 2, 9)])
def test_packed_tasks_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected packed tasks of shape \(n, 9\), got"):
        SPACE.unpack(np.zeros(shape))


@pytest.mark.parametrize(
    ("env_id", "name", "inside", "beyond", "outside"),
    [
        ("HalfCheetahVel", "velocity", 3.0, 6.0, 6.01),
        ("Walker2DVel", "velocity", 10.0, 20.0, 20.1),
        ("SwimmerVel", "velocity", 0.2, 0.29, 0.31),
        ("PointNavigation", "goal", (0.5, 0.5), (-1.0, 1.0), (1.01, 0.0)),
        ("AntGoal", "goal", (0.0, 3.0), (0.0, 6.0), (4.5, 4.5)),
    ],
)
def test_environments_with_tasks_outside_the_usual_range(env_id, name, inside, beyond, outside):
    """Drawn are only new tasks; those of the usual range are still accepted."""
    usual = gymnasium.make(f"metarl/{env_id}-v0").unwrapped.task_space
    env = gymnasium.make(f"metarl/{env_id}-v0", out_of_distribution=2.0).unwrapped
    env.reset(seed=0)
    for task in env.sample_tasks(200):
        with pytest.raises(ValueError, match=f"task '{name}': expected a value"):
            usual.validate(task)
        env.set_task(task)
    for value in (inside, beyond):
        env.set_task({name: value})
    with pytest.raises(ValueError, match=f"task '{name}': expected a value"):
        env.set_task({name: outside})
    assert data_equivalence(env.task_space.default, usual.default)


def test_bodies_outside_the_usual_range():
    """Each array has a multiplier above or below what is usual, and none beyond its square."""
    env_id = "metarl/HopperRandParams-v0"
    tasks = gymnasium.make(env_id, out_of_distribution=2.0).unwrapped.task_space.sample(
        50, np.random.default_rng(0)
    )
    for name, base in (("body_mass", 1.5), ("dof_damping", 1.3)):
        largest = np.abs(np.log(tasks[name]) / np.log(base)).reshape(50, -1).max(-1)
        assert ((largest > 3) & (largest <= 6)).all()


@pytest.mark.parametrize("env_id", ["HalfCheetahDir", "AntDir2D", "Walker2DDir", "HumanoidDir2D"])
def test_directions_and_headings_have_nothing_beyond(env_id):
    with pytest.raises(ValueError, match="expected a task parameter with a range to go beyond, got"):
        gymnasium.make_vec(f"metarl/{env_id}-v0", 2, out_of_distribution=2.0)


@pytest.mark.parametrize("scale", [1.0, 1.0001, 0.5, -2.0, np.nan, np.inf, "2"])
def test_scales_that_are_not_wider(scale):
    with pytest.raises(ValueError, match=r"expected a scale from 1\.01 to 1e\+06 for tasks beyond, got"):
        gymnasium.make("metarl/AntVel-v0", out_of_distribution=scale)
    with pytest.raises(ValueError, match=r"expected a scale from 1\.01"):
        SPACE.beyond(scale)


def test_only_what_has_a_range_goes_beyond():
    wide = SPACE.beyond(1.5)
    tasks = wide.sample(300, np.random.default_rng(0))
    assert set(tasks["direction"]) == {-1.0, 1.0}
    assert not SPACE.parameters["goal"].contains(tasks["goal"]).any()
    assert not SPACE.parameters["mass"].contains(tasks["mass"]).any()
    assert (np.abs(np.log2(tasks["mass"])) <= 1.5).all()
    wide.validate_batch(SPACE.sample(50, np.random.default_rng(1)), 50)


@pytest.mark.parametrize(
    "env_id", ["metarl/PointNavigation-v0", "metarl/AntDir2D-v0", "metarl/HopperRandParams-v0"]
)
def test_a_task_that_is_observed_stands_at_the_end_of_every_observation(env_id):
    """A told and an untold batch agree but for the packed task, through restarts and new tasks."""
    told, untold = (
        gymnasium.make_vec(env_id, 2, vectorization_mode="vector_entry_point", max_episode_steps=3, **options)
        for options in ({"observe_task": True}, {})
    )
    space = told.unwrapped.family.task_space
    size = untold.single_observation_space.shape[0]
    assert told.single_observation_space.shape == (size + space.packed_size,)
    for envs in (told, untold):
        envs.unwrapped.set_tasks(space.sample(2, np.random.default_rng(1)))
    shown = [envs.reset(seed=3) for envs in (told, untold)]
    for step in range(6):
        seen, plain = (one[0] for one in shown)
        np.testing.assert_array_equal(seen[:, :size], plain)
        np.testing.assert_allclose(seen[:, size:], space.pack(shown[0][1 if step == 0 else 4]["task"]))
        if step == 2:
            for envs in (told, untold):
                envs.unwrapped.set_tasks(space.sample(2, np.random.default_rng(2)))
        action = told.action_space.sample()
        shown = [envs.step(action) for envs in (told, untold)]
    env = gymnasium.make(env_id, observe_task=True)
    assert env.reset(seed=0)[0].shape == told.single_observation_space.shape


@pytest.mark.parametrize("value", [1, "yes", None])
def test_whether_the_task_is_observed_is_yes_or_no(value):
    with pytest.raises(ValueError, match="observe_task to be true or false"):
        gymnasium.make("metarl/AntVel-v0", observe_task=value)
