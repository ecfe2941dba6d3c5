"""Labels of pieces and spans: every answer against all paths, written out."""

from itertools import product

import numpy as np
import pytest

from weitiao.objectives.bio import best_path, label_names, labels_of, read, runs_of


def test_labels_are_named_as_transformers_names_them() -> None:
    assert label_names(["PER", "LOC"]) == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def test_neighbours_of_one_type_stay_two_runs() -> None:
    runs = [(0, 2, 0), (2, 3, 0), (4, 6, 1)]
    labels = labels_of(runs, 7)
    assert labels.tolist() == [1, 2, 1, 0, 3, 4, 0]
    assert runs_of(labels) == runs


def test_an_inside_that_follows_nothing_of_its_type_begins_a_run() -> None:
    assert runs_of([2, 2, 4]) == [(0, 2, 0), (2, 3, 1)]


@pytest.mark.parametrize("types", [1, 2])
@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_path_and_confidence_equal_those_of_all_paths_written_out(pieces: int, types: int) -> None:
    random = np.random.default_rng(pieces * types)
    for _ in range(20):
        logits = 2 * random.normal(size=(pieces, 1 + 2 * types))
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        paths = [path for path in product(range(1 + 2 * types), repeat=pieces) if _means_something(path)]
        scores = np.exp([sum(logs[piece, label] for piece, label in enumerate(path)) for path in paths])
        assert tuple(best_path(logs)) == paths[int(scores.argmax())]
        for found in read(logs):
            run = (found.first, found.behind, found.kind)
            with_it = sum(score for score, path in zip(scores, paths, strict=True) if run in runs_of(path))
            assert found.confidence == pytest.approx(with_it / scores.sum())


def test_a_text_without_pieces_has_no_runs() -> None:
    assert read(np.zeros((0, 3))) == []


def _means_something(path: tuple[int, ...]) -> bool:
    before = (0, *path)
    return all(label % 2 or label == 0 or before[piece] in (label, label - 1) for piece, label in enumerate(path))
