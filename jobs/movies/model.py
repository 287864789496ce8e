"""The old name of jobs.usecases.movies.model, which MLflow stored with each logged model."""

from jobs.usecases.movies.model import _load_pyfunc as _load_pyfunc
