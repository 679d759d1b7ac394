raise RuntimeError('nor this one')
