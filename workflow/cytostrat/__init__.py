"""cytostrat: cytokine signatures of breast cancer, by HER2 status, against cytokine therapies."""

__version__ = "0.1.0"
