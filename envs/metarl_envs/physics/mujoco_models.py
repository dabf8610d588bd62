"""Gymnasium's MuJoCo assets, compiled."""

from __future__ import annotations

import re
from importlib import resources

import mujoco


def load_gymnasium_model(name: str, contact_forces: bool = False) -> mujoco.MjModel:
    """Compiles one of Gymnasium's MuJoCo assets, e.g. "half_cheetah.xml".

    The deprecated `settotalmass` attribute is applied after compilation, which gives the same
    model without a warning at every load.

    Args:
        contact_forces: adds an acceleration sensor, without which MuJoCo leaves `cfrc_ext` at zero.
    """
    xml = (resources.files("gymnasium") / "envs" / "mujoco" / "assets" / name).read_text()
    total_mass = re.search(r'\s+settotalmass="([^"]+)"', xml)
    spec = mujoco.MjSpec.from_string(xml.replace(total_mass.group(0), "") if total_mass else xml)
    if contact_forces:
        body, kind = mujoco.mjtObj.mjOBJ_BODY, mujoco.mjtSensor.mjSENS_FRAMELINACC
        spec.add_sensor(type=kind, objtype=body, objname=spec.bodies[1].name)
    model = spec.compile()
    if total_mass:
        mujoco.mj_setTotalmass(model, float(total_mass.group(1)))
        mujoco.mj_setConst(model, mujoco.MjData(model))
    return model
