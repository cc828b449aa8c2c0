"""Blocks whose kinds are open: beside the built-in models, those of other people's components."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from dcsim import registry
from dcsim.errors import PluginError


class Registered:
    """Stands in `Annotated` beside a built-in model, or a union of them. A block whose key names
    none of these is read by the spec that `dcsim.registry` has of the name."""

    def __init__(
        self, kind: registry.Kind, base: type[BaseModel], *, former_names: Sequence[str] = ()
    ) -> None:
        """Specs of the kind derive from `base`. `former_names` are read by the built-in model
        although they are no choice of it."""
        self.kind = kind
        self._base = base
        self.key = registry.KEYS[kind]
        self._former_names = former_names
        self._built_in: tuple[str, ...] = ()

    def specs(self) -> list[type[BaseModel]]:
        """Specs that are not built in, of components that can be used; the others are warned
        of."""
        return [
            component.spec
            for component in registry.components(self.kind)
            if component.name not in self._built_in
        ]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        self._built_in = tuple(
            name
            for model in models_in(source)
            for name in get_args(model.model_fields[self.key].annotation)
        )
        return core_schema.with_info_wrap_validator_function(
            self._read,
            handler(source),
            # By its own model, which is no member of the built-in union.
            serialization=core_schema.simple_ser_schema("any"),
        )

    def _read(
        self,
        value: Any,
        built_in: core_schema.ValidatorFunctionWrapHandler,
        info: core_schema.ValidationInfo,
    ) -> Any:
        name = value.get(self.key) if isinstance(value, dict) else getattr(value, self.key, None)
        if not isinstance(name, str) or name in (*self._built_in, *self._former_names):
            return built_in(value)
        component = registry.find(self.kind, name)
        if component is not None:
            if not issubclass(component.spec, self._base):
                home = f"{self._base.__module__}.{self._base.__name__}"
                raise PluginError(f"the Spec of '{name}' ({component.package}) must be a {home}")
            return component.spec.model_validate(value, context=info.context)
        known = dict.fromkeys([*self._built_in, *registry.names(self.kind)])
        if len(known) == len(self._built_in):
            return built_in(value)
        expected = ", ".join(f"'{tag}'" for tag in known)
        context = {"discriminator": f"'{self.key}'", "tag": name, "expected_tags": expected}
        raise PydanticKnownError("union_tag_invalid", context)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler(schema)
        others = [handler(spec.__pydantic_core_schema__) for spec in self.specs()]
        return {"anyOf": [made, *others]} if others else made


def bare(annotation: Any) -> Any:
    """An annotation without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        kept = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(kept) == 1:
            return bare(kept[0])
    return annotation


def is_list(annotation: Any) -> bool:
    """Whether a list is written."""
    return get_origin(bare(annotation)) is tuple


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation allows, in a list or not; the built-in ones first. That of a
    field is `field.rebuild_annotation()`."""
    return list(dict.fromkeys(_models(annotation)))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        yield from _models(inner)
        for extra in extras:
            if isinstance(extra, Registered):
                yield from extra.specs()
    elif get_origin(annotation) is tuple:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _models(option)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
