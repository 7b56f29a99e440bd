"""The benchmark room: `run.run_bench` is ``fastrfm bench``.

Nothing is imported here, since every contender's process imports this package.
"""
