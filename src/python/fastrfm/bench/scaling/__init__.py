"""What `bench/scaling.py` measures: time and memory against rows, columns, outputs and workers.

`points` says what, `measure` measures one point in a process of its own, `store` keeps the lines,
`exponents` and `model` say what they come to, `report` and `figure` show it. Nothing is imported
here.
"""
