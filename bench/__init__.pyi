from bench.api import Comparison as Comparison
from bench.api import Embeddings as Embeddings
from bench.api import Results as Results
from bench.api import catalog as catalog
from bench.api import embed as embed
from bench.api import evaluate as evaluate
from bench.api import load_results as load_results
from bench.api import probe as probe
from bench.api import run as run

__version__: str
