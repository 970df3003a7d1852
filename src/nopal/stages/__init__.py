"""What turns options and recipes into runs, records, tables and predictions. To read it, begin with a command:

* `nopal run`: `running.py` (`seeds.py` for several, `rounds.py` for rounds) opens tasks (`task_sources.py`, of images
  by `sources.py`, of objects by `pose_data.py`), begins a run (`beginning.py`), makes partitions and meta-trains
  (`pipeline.py`, with `watching.py` around the loop and `trials.py` on the way), measures (`measuring.py`) and writes a
  record. `encoding.py` trains encoders, `given.py` checks one that is there, `baselines.py` chooses learners that need
  no meta-training, `predicting.py` draws what learners of poses say.
* `nopal fit`, `demo`: the same on a person's images, `fitting.py`, or on built-in ones, `demo.py`.
* Runs that are there: `loading.py` and `reopening.py` for learners and tasks, then `judging.py` (`nopal evaluate`,
  `report`), `metering.py`, `stepping.py`, `drawing.py`.
* `nopal table`: `table.py`, with `sweeps.py` for figures. `nopal partition --report`: `clusters.py`.
"""
