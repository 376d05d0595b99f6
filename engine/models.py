"""A model as the engine uses it: prior, features, basis and posterior that belong together, under ids."""

import json
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import CampaignError, NotFoundError, ShapeError, WorkspaceError
from bandit import SUCCESSES, Basis, Kind, Learnt, Margins, Prior, kind_named, learnt_from_arrays
from engine.features import FeatureSpec
from engine.kin import kin_keys
from governance import load_artifact, save_artifact
from warehouse import pack_arrays, unpack_arrays

if TYPE_CHECKING:
    from warehouse import Store, Workspace

_FILES = {"features.json", "basis.json", "about.json", "seen.npz", "held.npz"}  # beside the prior's own
_SCORED_AT_ONCE = 16_384  # customers between two reports of progress
_SHOWN_AT_ONCE = 8_192  # their matrix stays in memory that is used again
_THREADS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """n customers as the posterior takes them, and before it has spoken.

    Args:
        basis: (n, p) float32.
        logits: (n, k + 1) float32, the prior's.
        relative: (n, k + 1) what a success brings over the arm's margin; None: 1 for everybody.
    """

    basis: NDArray[np.float32]
    logits: NDArray[np.float32]
    relative: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Foundation:
    """Everything that training learnt and that stays fixed until the next training.

    Offers that came since are newcomers: cold arms, of which only the posterior can learn. Files and id leave them out.

    Args:
        prior: LightGBM over customer, memory and offer features.
        features: how customer and memory columns are coded, in matrix order.
        basis: the posterior's view of a customer.
        offer_ids: the arms 0..k-1, newcomers last; arm k is no offer.
        seen: sorted keys of the exposures and decisions that were trained on.
        outcome: the outcome that each of them was trained with, 0 or 1, or the amount.
        delays: days that successes took to arrive, a sample of the log's.
        outcome_days: how long an outcome may take.
        held_key: sorted keys of those of `seen` on which the model was judged before it was fitted to them too.
        held_logit: what it predicted for them then, of the arm that was shown.
        margins: how amounts of successes differ between customers; None where that was not asked for.
    """

    prior: Prior
    features: FeatureSpec
    basis: Basis
    offer_ids: tuple[str, ...]
    seen: NDArray[np.uint64]
    outcome: NDArray[Any]
    delays: NDArray[np.float64]
    outcome_days: float
    held_key: NDArray[np.uint64]
    held_logit: NDArray[np.float32]
    margins: Margins | None = None

    def to_files(self) -> dict[str, bytes]:
        """Text and plain arrays only."""
        learnt = {} if self.margins is None else {"margins.json": self.margins.to_json().encode()}
        trained = self.offer_ids[: len(self.offer_ids) - self.prior.newcomers]
        about = {"offer_ids": trained, "outcome_days": self.outcome_days}
        return {
            **self.prior.to_files(),
            **learnt,
            "features.json": self.features.to_json().encode(),
            "basis.json": self.basis.to_json().encode(),
            "about.json": json.dumps(about).encode(),
            "seen.npz": pack_arrays({"seen": self.seen, "outcome": self.outcome, "delays": self.delays}),
            "held.npz": pack_arrays({"key": self.held_key, "logit": self.held_logit}),
        }

    @staticmethod
    def from_files(files: dict[str, bytes]) -> "Foundation":
        """What `to_files` wrote."""
        about = json.loads(files["about.json"])
        seen, held = unpack_arrays(files["seen.npz"]), unpack_arrays(files["held.npz"])
        prior = Prior.from_files(files)
        learnt = files.get("margins.json")
        return Foundation(
            prior=prior,
            features=FeatureSpec.from_json(files["features.json"].decode()),
            basis=Basis.from_json(files["basis.json"].decode()),
            offer_ids=tuple(about["offer_ids"]),
            seen=seen["seen"],
            outcome=seen["outcome"],
            delays=seen["delays"],
            outcome_days=about["outcome_days"],
            held_key=held["key"],
            held_logit=held["logit"],
            margins=None if learnt is None else Margins.from_json(learnt.decode(), prior.offers, prior.columns),
        )

    @property
    def id(self) -> str:
        """Fingerprint of the files."""
        digest = sha256()
        for name, content in sorted(self.to_files().items()):
            digest.update(name.encode() + b"\0" + sha256(content).digest())
        return f"prior-{digest.hexdigest()[:16]}"

    @property
    def newcomers(self) -> tuple[str, ...]:
        """Offers that came after training."""
        return self.offer_ids[len(self.offer_ids) - self.prior.newcomers :]

    def widened(self, offer_ids: Iterable[str | None]) -> "Foundation":
        """With those offers as newcomers that are no arms yet, in the order in which they are first named."""
        new = [offer for offer in dict.fromkeys(offer_ids) if offer is not None and offer not in self.offer_ids]
        return replace(self, prior=self.prior.widened(len(new)), offer_ids=(*self.offer_ids, *new)) if new else self

    def fitting(self, posterior: Learnt, offers: pa.Table) -> Learnt:
        """A posterior of this foundation with as many arms as it has by now; the catalogue says who their kin are."""
        new = self.offer_ids[len(posterior.count) - 1 :]
        return posterior.widened(len(new), kin_keys(offers, new, self.prior.columns)) if new else posterior

    def arms(self, offers: pa.Table) -> NDArray[np.intp]:
        """The arm of each catalogue offer, then of no offer.

        Raises:
            CampaignError: an offer that is no arm; see `taking_in`.
        """
        known = {offer_id: arm for arm, offer_id in enumerate(self.offer_ids)}
        unknown = [o for o in offers["offer_id"].to_pylist() if o not in known]
        if unknown:
            raise CampaignError(
                f"offer {unknown[0]!r} is newer than the model.", where="offers", remedy="Run `allot train` once more."
            )
        return np.array([*(known[o] for o in offers["offer_id"].to_pylist()), len(known)])

    def scored(self, table: pa.Table, done: Callable[[int], None] = lambda _rows: None) -> "Scored":
        """What the model says of n customers, from their columns; in pieces, so that their matrix need not be held.

        Args:
            table: n rows, as `customer_features` makes them.
            done: told how many rows are through.
        """
        n, arms = table.num_rows, len(self.offer_ids) + 1
        plain = self.margins is None or self.margins.slope == 0.0
        basis = np.empty((n, len(self.basis.blocks) - 1), np.float32)
        logits = np.empty((n, arms), np.float32)
        relative = None if plain else np.empty((n, arms))
        for first in range(0, n, _SCORED_AT_ONCE):
            part = slice(first, first + _SCORED_AT_ONCE)
            customers = self.features.encode(table.slice(first, _SCORED_AT_ONCE))
            basis[part], logits[part] = self.basis(customers), self.prior.logits(customers)
            if relative is not None:
                relative[part] = self.relative_margins(customers)
            done(min(first + _SCORED_AT_ONCE, n))
        return Scored(basis, logits, relative)

    def shown(self, table: pa.Table, arm: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the model said of n customers, each with the one arm that was chosen.

        Args:
            table: n rows, as `row_features` makes them.
            arm: (n,) 0..k.

        Returns:
            basis (n, p) and the prior's logit (n,), both float32; the same bits in pieces of whatever size.
        """
        basis = np.empty((len(arm), len(self.basis.blocks) - 1), np.float32)
        logit = np.empty(len(arm), np.float32)

        def work(first: int) -> None:
            part = slice(first, first + _SHOWN_AT_ONCE)
            customers = self.features.encode(table.slice(first, _SHOWN_AT_ONCE))
            basis[part] = self.basis(customers)
            logit[part] = self.prior.logits(customers, threads=1)[np.arange(len(customers)), arm[part]]

        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(work, range(0, len(arm), _SHOWN_AT_ONCE)):
                pass
        return basis, logit

    def relative_margins(self, customers: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """What a success brings over the arm's margin (n, K), for a matrix of customers (n, d); None: 1 for everybody.

        A newcomer's is the mean over the offers that training knew.
        """
        if self.margins is None or self.margins.slope == 0.0:
            return None
        known = self.margins.relative(customers)
        offers = known.shape[1] - 1
        new = np.repeat(known[:, :offers].mean(1, keepdims=True), self.prior.newcomers, axis=1)
        return np.concatenate([known[:, :offers], new, known[:, offers:]], axis=1)


def taking_in(model: tuple[Foundation, Learnt], offers: pa.Table) -> tuple[Foundation, Learnt]:
    """The model with every offer of a catalogue as an arm: those that it has not met are newcomers without evidence."""
    foundation = model[0].widened(offers["offer_id"].to_pylist())
    return foundation, foundation.fitting(model[1], offers)


def save_foundation(workspace: "Workspace", foundation: Foundation, manifest: dict[str, Any]) -> str:
    """Write the model's folder once; the same model is the same folder. A damaged one is replaced."""
    folder = workspace.models / foundation.id
    try:
        load_artifact(folder)
    except WorkspaceError:
        shutil.rmtree(folder, ignore_errors=True)
        save_artifact(folder, foundation.to_files(), manifest)
    return foundation.id


def sweep_foundations(workspace: "Workspace", store: "Store") -> None:
    """Remove model folders, whole or half, that were never recorded: something stopped a training. Under the lock."""
    for folder in workspace.models.glob("*"):
        try:
            store.model("prior", folder.name)
        except NotFoundError:
            shutil.rmtree(folder)


def load_foundation(workspace: "Workspace", prior_id: str) -> Foundation:
    """Read a model's folder, checksums verified.

    Raises:
        WorkspaceError: a file is missing or damaged, or an earlier version of the program made the model.
    """
    folder = workspace.models / prior_id
    files, _ = load_artifact(folder)
    if not files.keys() >= _FILES:
        raise WorkspaceError(
            "was made by an earlier version of allot.", where=str(folder), remedy="Run `allot train` to make a new one."
        )
    return Foundation.from_files(files)


def posterior_id(posterior: Learnt, prior_id: str, newcomers: tuple[str, ...] = ()) -> str:
    """Fingerprint of a posterior, of the prior under it and of the offers that came since."""
    digest = sha256(prior_id.encode() + pack_arrays(posterior.to_arrays()))
    if newcomers:
        digest.update(json.dumps(newcomers).encode())
    return f"posterior-{digest.hexdigest()[:16]}"


def kind_in_use(store: "Store") -> Kind:
    """What the posterior in use learns; successes before there is one."""
    model = store.current("posterior")
    return SUCCESSES if model is None else kind_named(model.manifest.get("outcome", SUCCESSES.name))


def load_posterior(store: "Store", model_id: str) -> tuple[Learnt, str]:
    """A posterior by its id, and the id of its prior.

    Raises:
        WorkspaceError: the snapshot is gone, or an earlier version of the program made it.
    """
    model = store.model("posterior", model_id)
    if model.blob is None:
        raise WorkspaceError(f"posterior {model_id} is gone.", remedy="Run `allot train` to make a new one.")
    try:
        return learnt_from_arrays(unpack_arrays(model.blob)), model.parents[0]
    except ShapeError as error:
        raise WorkspaceError(
            "was made by an earlier version of allot.", where=model_id, remedy="Run `allot train` to make a new one."
        ) from error


def load_models(workspace: "Workspace", store: "Store", model_id: str) -> tuple[Foundation, Learnt]:
    """The posterior of a stamp and the foundation that it stands on, with the newcomers that it has learnt of."""
    posterior, prior_id = load_posterior(store, model_id)
    newcomers = store.model("posterior", model_id).watermark.get("newcomers", ())
    return load_foundation(workspace, prior_id).widened(newcomers), posterior
