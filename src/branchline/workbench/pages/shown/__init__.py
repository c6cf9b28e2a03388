"""What a project holds, as it can be shown without running any of it.

Files, outputs of notebooks and what programs printed come from anywhere. Text is escaped, HTML and Markdown
pass through a sanitiser that lets no script, style, form or address of elsewhere through, pictures are shown
as pictures only, and everything has a bound. All of it is pure.
"""
