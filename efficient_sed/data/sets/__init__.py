"""Registered data sets, one file each. `data=NAME` loads the one that is registered under that name.

A new data set is one file in this folder:

    @DATASETS.register("mine")
    @dataclass(frozen=True)
    class MineConfig(DataConfig):
        root: str = "mine"  # a docstring under a field explains it

        def load(self) -> Splits:
            ...

- Its fields are options (`data.root=DIR`) with default values; `__post_init__` checks them and raises ConfigError.
- `load` returns `Splits`: labels in logit order, and the clips of the parts train, validation and test. A clip has a
  unique id, an `AudioSource`, its duration and its events in seconds. Files that cannot be read raise DataError with
  their path, or are counted in `Splits.skipped` with `data.on_error=skip`. `read_parts` of `folder.py` does all of it,
  given events by part and file name; `FoldsConfig` of `_folds.py` does it for folds.
- `location_keys` names the options that say where something lies: a data set that was moved is the same data set.
- The file must be quick to import, because `--help` and `--show-config` do: import h5py, pyarrow and Lightning inside
  functions.
"""
