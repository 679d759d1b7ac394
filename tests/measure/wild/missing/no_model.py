# no_model.py: error: needs the module `pandas` at no_model.py:3, which is not installed here; install it (`pip install pandas`)

import pandas as pd

def load(path):
    return pd.read_csv(path)
