"""Figure 9 of the paper: sessions of the service between processes, over links like those of telephones."""
