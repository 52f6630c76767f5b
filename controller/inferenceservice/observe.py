"""Look up what bears on an InferenceService, and say whose changes make it look again."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from controller.inferenceservice.credentials import Sources
from controller.inferenceservice.reconcile import Seen, reconcile
from controller.inferenceservice.resources import predictor_name
from controller.reconciler import Reconciler, Watch, controlled_by, labelled_with
from controller.view import Index, View
from torpor.kube.informer import Key
from torpor.spec import names
from torpor.spec.kinds import INFERENCE_SERVICE, KSERVICE, POD, ROUTE, SECRET, SERVICE_ACCOUNT, Object, key_of

DEFAULT_ACCOUNT = "default"


def _account_name(obj: Object) -> str:
    predictor = (obj.get("spec") or {}).get("predictor")
    name = predictor.get("serviceAccountName") if isinstance(predictor, dict) else None
    return name if isinstance(name, str) and name else DEFAULT_ACCOUNT


def _storage_secret(obj: Object) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(names.STORAGE_SECRET) or "")


def _secrets(account: Object | None) -> list[str]:
    return [each["name"] for each in (account or {}).get("secrets") or () if each.get("name")]


def _by_account(obj: Object) -> Iterable[Hashable]:
    yield key_of(obj)[0], _account_name(obj)


def _by_storage_secret(obj: Object) -> Iterable[Hashable]:
    if name := _storage_secret(obj):
        yield key_of(obj)[0], name


def _by_listed_secret(account: Object) -> Iterable[Hashable]:
    return ((key_of(account)[0], name) for name in _secrets(account))


ACCOUNT = Index("account", _by_account)
STORAGE_SECRET = Index("storage-secret", _by_storage_secret)
LISTED_SECRET = Index("listed-secret", _by_listed_secret)


def observe(view: View, obj: Object) -> Seen:
    """Return what an InferenceService is to be compared with."""
    namespace, name = key_of(obj)
    service = predictor_name(name)
    return Seen(
        sources=_sources(view, obj),
        service=view.get(KSERVICE, service, namespace),
        route=view.get(ROUTE, name, namespace),
        pods=tuple(view.labelled(POD, namespace, names.SERVICE, service)),
    )


def _sources(view: View, obj: Object) -> Sources:
    namespace, _ = key_of(obj)
    account_name = _account_name(obj)
    account = view.get(SERVICE_ACCOUNT, account_name, namespace)
    own = _storage_secret(obj)
    listed = [own] if own else _secrets(account)
    named_by = f"the annotation {names.STORAGE_SECRET}" if own else f"ServiceAccount {account_name}"
    return Sources(account, {name: view.get(SECRET, name, namespace) for name in listed}, named_by)


def _of_account(view: View, account: Object) -> Iterable[Key]:
    return [key_of(each) for each in view.by(INFERENCE_SERVICE, ACCOUNT, key_of(account))]


def _of_secret(view: View, secret: Object) -> Iterable[Key]:
    key = key_of(secret)
    named = [key_of(each) for each in view.by(INFERENCE_SERVICE, STORAGE_SECRET, key)]
    accounts = view.by(SERVICE_ACCOUNT, LISTED_SECRET, key)
    return [*named, *(each for account in accounts for each in _of_account(view, account))]


RECONCILER = Reconciler(
    kind=INFERENCE_SERVICE,
    observe=observe,
    reconcile=reconcile,
    watches=(
        Watch(KSERVICE, controlled_by(INFERENCE_SERVICE)),
        Watch(ROUTE, controlled_by(INFERENCE_SERVICE)),
        Watch(POD, labelled_with(names.INFERENCE_SERVICE), labels=names.REVISION),
        Watch(SERVICE_ACCOUNT, _of_account),
        Watch(SECRET, _of_secret),
    ),
    indexes=(
        (INFERENCE_SERVICE, ACCOUNT),
        (INFERENCE_SERVICE, STORAGE_SECRET),
        (SERVICE_ACCOUNT, LISTED_SECRET),
    ),
)
