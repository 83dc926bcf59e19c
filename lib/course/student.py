"""Notebooks for students: the same lessons without what gives an answer away.

    python -m lib.course.build student [NAME ...] [out=FOLDER]

Left out are: everything folded (a fold is a solution or an answer; where its summary is a question, the question
stays), every output from the first prediction on, and in captions the finding: `**See:** ...` becomes the question
"What do you see?", followed by the question of `**Ask:**`. What a lesson answers in open prose stays, so an answer that
students are to find for themselves belongs in a fold.

The exercises check as in the originals. The set-up cell finds lib where the study is installed, or in any folder inside
its repository; the default, student/, lies beside notebooks/, so that relative links hold, and git does not see it."""
import copy
import re

from nbformat import NotebookNode

__all__ = ["without_answers"]

FOLD = re.compile(r"<details[^>]*>\s*<summary[^>]*>((?:(?!</summary>).)*)</summary>(?:(?!<details).)*?</details>",
                  re.DOTALL)
FINDING = re.compile(r"\*\*See\b.*?(?=\n\n|\Z)", re.DOTALL)
ASK = re.compile(r".*\*\*Ask\b[:.]?\*\*:?\s*", re.DOTALL)
BADGES = re.compile(r"^\[!\[Open in Colab\].*\n?", re.MULTILINE)  # they open the notebook with its answers
HOW = ("*This is a student's copy. Write down what you predict, then run the cells from the top: the outputs are not "
       "stored, an exercise says Right when it is, and solutions and answers are in the original.*")


def without_answers(notebook: NotebookNode) -> NotebookNode:
    """A copy of a notebook without solutions, answers, findings, and outputs from the first prediction on."""
    student, asked, cells = copy.deepcopy(notebook), False, []
    for cell in student.cells:
        asked = asked or "predict" in cell.metadata.get("tags", []) or (
            cell.cell_type == "markdown" and "**Predict" in cell.source)
        if cell.cell_type == "markdown":
            cell.source = _without(cell.source)
        elif cell.cell_type == "code" and asked:
            cell.outputs, cell.execution_count = [], None
        if cell.source or cell.cell_type == "code":
            cells.append(cell)
    cells[0].source += f"\n\n{HOW}"
    student.cells = cells
    return student


def _without(text: str) -> str:
    """The text of a markdown cell without folds, findings and badges; empty where nothing else was in it."""
    while FOLD.search(text):  # from the inside out
        text = FOLD.sub(lambda fold: f"\n\n**{fold[1].strip()}**\n\n" if fold[1].rstrip().endswith("?") else "", text)
    text = FINDING.sub(lambda finding: f"**What do you see?** {ASK.sub('', finding[0])}".rstrip()
                       if "**Ask" in finding[0] else "**What do you see?**", BADGES.sub("", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()
