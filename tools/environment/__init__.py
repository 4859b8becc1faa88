"""Parts of ``tools/make_env.py``, which sets up the virtual environment. Standard library only."""
