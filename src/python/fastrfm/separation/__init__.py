"""How layers pull classes apart, and the chain of springs and blocks that behaves alike.

`data_separation` measures, layer by layer, how far classes are apart compared with how wide they
are; `pull_chain` simulates the mechanical model of Shi, Pan and Dokmanić (Spring-block theory of
feature learning in deep neural networks, Physical Review Letters 2025, doi:10.1103/ys4n-2tj3,
arXiv 2407.19353), in which friction stands for nonlinearity and noise for the noise of training;
`load_balance` is one number for how either distributes its load.
"""

from fastrfm.separation.chain import PulledChain, load_balance, pull_chain
from fastrfm.separation.measures import DataSeparation, data_separation

__all__ = ["DataSeparation", "PulledChain", "data_separation", "load_balance", "pull_chain"]
