"""One folder per language, with the texts of the dashboard (`app.po`) and of the core (`core.po`).

`app.pot` and `core.pot` hold all English texts. After texts were changed: `python -m app.locale.update`.
"""
