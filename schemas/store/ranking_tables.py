"""What a workspace remembers of rankings: which of several segmenters' masks of a photo a rule chose, and why."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from figureground.schemas.records import ProposalRecord
from figureground.schemas.store.ranked_proposals import RankedProposal
from figureground.schemas.store.rows import proposal_of, rank_of, rank_row

_NEWEST: Final = "r.sequence = (SELECT max(sequence) FROM proposal_ranks WHERE image_id = r.image_id)"


class RankingTables:
    """The part of a workspace that is about rankings; a photo's newest one counts."""

    _db: sqlite3.Connection

    def add_ranking(self, ranks: Sequence[RankedProposal]) -> bool:
        """Note a ranking of one photo's masks; False, and nothing, where the newest one says the same.

        Args:
            ranks: All masks that were ranked, by their places.
        """
        image_id = ranks[0].image_id
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")  # nobody else's ranking may come between the look and the note
            if self.ranking(image_id) == list(ranks):
                return False
            query = "SELECT coalesce(max(sequence), -1) + 1 FROM proposal_ranks WHERE image_id = ?"
            sequence = int(self._db.execute(query, (image_id,)).fetchone()[0])
            self._db.executemany(
                "INSERT INTO proposal_ranks (image_id, sequence, proposal_id, place, probability, min_iou, features, "
                "rule) VALUES (:image_id, :sequence, :proposal_id, :place, :probability, :min_iou, :features, :rule)",
                [rank_row(rank, sequence) for rank in ranks],
            )
        return True

    def ranking(self, image_id: str) -> list[RankedProposal]:
        """The newest ranking of a photo's masks, by their places; empty without one."""
        query = f"SELECT * FROM proposal_ranks r WHERE r.image_id = ? AND {_NEWEST} ORDER BY r.place"  # noqa: S608
        return [rank_of(row) for row in self._db.execute(query, (image_id,))]

    def rankings(self) -> Iterator[list[RankedProposal]]:
        """The newest ranking of every photo that has one, sorted by image_id."""
        query = f"SELECT * FROM proposal_ranks r WHERE {_NEWEST} ORDER BY r.image_id, r.place"  # noqa: S608
        for _, rows in groupby(self._db.execute(query), key=lambda row: str(row["image_id"])):
            yield [rank_of(row) for row in rows]

    def ranked_photos(self) -> set[str]:
        """Ids of the photos whose masks were ranked."""
        return {str(row["image_id"]) for row in self._db.execute("SELECT DISTINCT image_id FROM proposal_ranks")}

    def chosen_proposals(self) -> Iterator[ProposalRecord]:
        """The masks that the newest rankings chose, with their probabilities, sorted by image_id."""
        query = (
            "SELECT p.*, r.probability FROM proposal_ranks r JOIN proposals p ON p.proposal_id = r.proposal_id "  # noqa: S608
            f"WHERE r.place = 0 AND {_NEWEST} ORDER BY r.image_id"
        )
        for row in self._db.execute(query):
            yield proposal_of(row)

    def chosen_makers(self) -> Iterator[tuple[str, str, str]]:
        """(image_id, segmenter, rule) of the masks that the newest rankings chose, sorted by image_id."""
        query = (
            "SELECT r.image_id, p.segmenter, r.rule FROM proposal_ranks r "  # noqa: S608  words of ours
            "JOIN proposals p ON p.proposal_id = r.proposal_id "
            f"WHERE r.place = 0 AND {_NEWEST} ORDER BY r.image_id"
        )
        for row in self._db.execute(query):
            yield tuple(row)
