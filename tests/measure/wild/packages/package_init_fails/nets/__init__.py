raise RuntimeError('set NETS_HOME')
