"""bench: which pretrained audio embedding should a music recommender use?

Audio becomes vectors once; vectors become item tables; the same tables feed recommenders and
probes; everything ends in one result record, from which every table is generated.
"""

__version__ = "0.1.0"
