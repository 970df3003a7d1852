"""Images of CAD models: `nopal poses render` against a loop over MuJoCo's own Renderer with its default settings.

    python benchmarks/bench_poses.py [CAD_DIR] [--views 40] [--turns 2] [--cores 2] [--out FILE.json]

Both draw the same scene at the same size, 128 x 128 in grey, from the same angles, in one process each. The defaults:
a shadow map of 4096 x 4096 and 4 samples a pixel by OpenGL; Nopal's are a map of 512 x 512 and 2 x 2 samples by drawing
larger. Seconds of processor time, of all threads, hold where other programs are at work too. Without CAD_DIR the models
of PASCAL3D+ in the folder NOPAL_DATA are taken. Every sixth model is drawn, sorted by size; reading files and starting
up don't count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from nopal.data.poses.meshes import Mesh, find_models, parse_mesh, stand
from nopal.data.poses.opengl import environment, find_backend
from nopal.data.poses.rendering import draw_rotations
from nopal.data.poses.scene import LUMA, SceneOptions, Stage, describe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("NOPAL_DATA", ".")) / "pascal3d_cad.zip"
    parser.add_argument("models", nargs="?", type=Path, default=default, metavar="CAD_DIR")
    parser.add_argument("--views", type=int, default=40, help="images of each model (default 40)")
    parser.add_argument("--turns", type=int, default=2, help="how often each is timed; the best counts (default 2)")
    parser.add_argument("--cores", type=int, default=2, help="cores for each side (default 2)")
    parser.add_argument("--out", type=Path, help="write the record to this JSON file")
    parser.add_argument("--draw", choices=("mujoco", "nopal"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        print(json.dumps(drawn(options.draw, options.models, options.views)))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    backend = find_backend()
    best: dict[str, dict[str, list[float]]] = {"mujoco": {}, "nopal": {}}
    for _ in range(options.turns):
        for side, models in best.items():
            for model, seconds in measured(side, backend, options).items():
                models[model] = [min(pair) for pair in zip(seconds, models.get(model, seconds))]
    rates = {
        side: {
            clock: round(options.views * len(models) / sum(seconds[row] for seconds in models.values()), 1)
            for row, clock in enumerate(("wall", "processor"))
        }
        for side, models in best.items()
    }
    ratios = {clock: round(rates["nopal"][clock] / rates["mujoco"][clock], 2) for clock in rates["nopal"]}
    by_model = {model: round(best["mujoco"][model][0] / seconds[0], 2) for model, seconds in best["nopal"].items()}
    print(f"{backend}, images a second over all models: {rates}; times as fast: {ratios}; by model: {by_model}")
    if options.out:
        from nopal.runs import environment as machine
        from nopal.runs.files import write_json

        results = [{"ratios": ratios, "images_per_second": rates, "ratio_by_model": by_model}]
        about = {"benchmark": "poses", "cores": options.cores, "opengl": backend, "results": results}
        write_json(options.out, about | machine())


def measured(side: str, backend: str, options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds by the clock on the wall and of processor time for each model, in a process of its own."""
    variables = environment(backend)
    if side == "mujoco":
        del variables["LP_NUM_THREADS"]  # which MuJoCo leaves alone
    command = [sys.executable, __file__, str(options.models), "--views", str(options.views), "--draw", side]
    answer = subprocess.run(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def drawn(side: str, root: Path, views: int) -> dict[str, list[float]]:
    """The same, in this process."""
    models = sorted(find_models(root)[0], key=lambda model: len(model.read()))[::6]
    draw = Stage(SceneOptions(), os.environ["MUJOCO_GL"]).draw if side == "nopal" else draw_by_default
    seconds = {}
    for model in models:
        mesh = parse_mesh(model.read(), model.suffix, model.name)
        _, quaternions = draw_rotations(model.name, views, 0)
        draw(mesh, quaternions[:2])
        began = time.perf_counter(), time.process_time()
        draw(mesh, quaternions)
        seconds[model.name] = [time.perf_counter() - began[0], time.process_time() - began[1]]
    return seconds


def draw_by_default(mesh: Mesh, quaternions: np.ndarray) -> np.ndarray:
    """The same scene by `mujoco.Renderer`, as a user's loop would."""
    import mujoco

    options = SceneOptions()
    mesh, place = stand(mesh)
    spec = describe(mesh, options)
    default = mujoco.MjSpec().visual
    spec.visual.quality.shadowsize = default.quality.shadowsize
    spec.visual.quality.offsamples = default.quality.offsamples
    model = spec.compile()
    data, camera = mujoco.MjData(model), mujoco.MjvCamera()
    camera.lookat, camera.distance = options.camera.lookat, options.camera.distance
    data.mocap_pos[0] = place
    images = []
    with mujoco.Renderer(model, options.size, options.size) as renderer:
        for quaternion in quaternions:
            data.mocap_quat[0] = quaternion
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera)
            images.append(np.rint(renderer.render() @ LUMA).astype(np.uint8))
    return np.stack(images)


if __name__ == "__main__":
    main()
