"""How accurate untouched defaults are, against other packages' defaults, on real tables.

``python bench/accuracy.py --data FOLDER`` runs it.
"""
