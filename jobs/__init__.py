"""Everything that does work in Nightshift. Imports no Airflow."""

__version__ = "0.1.0"
