"""Holds answers to what an OpenAPI 3.1 document says of them."""

from urllib.parse import quote, unquote

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = "urn:openapi"


class Document:
    def __init__(self, document):
        assert document["openapi"].startswith("3.1"), document.get("openapi")
        self.document = document
        resource = Resource(contents=document, specification=DRAFT202012)
        self.registry = Registry().with_resource(ROOT, resource)

    def faults(self, method, path, status, content_type, body):
        """What is wrong with one answer, in sentences; `body` is parsed JSON where `content_type` says so."""
        what = f"{method} {path} -> {status}"
        template = self._template(path, method.lower())
        if template is None:
            return [f"{what}: no path of the document"]
        pointer = ["paths", template, method.lower(), "responses"]
        answers = self._at(pointer)
        known = [name for name in (str(status), f"{status // 100}XX", "default") if name in answers]
        if not known:
            return [f"{what}: {template} does not say that it answers this"]
        pointer = self._followed([*pointer, known[0]])
        contents = self._at(pointer).get("content", {})
        media = content_type.split(";")[0].strip()
        ranges = (media, media.split("/")[0] + "/*", "*/*")
        named = [name for name in contents if name.split(";")[0].strip() in ranges]
        if not named:
            return [f"{what}: {media or 'nothing'} where it says {', '.join(contents) or 'nothing'}"]
        if media != "application/json":
            return []
        if "schema" not in contents[named[0]]:
            return [f"{what}: {template} does not say what shape it answers with"]
        pointer = [*pointer, "content", named[0], "schema"]
        fragment = "".join("/" + quote(part.replace("~", "~0").replace("/", "~1"), safe="~") for part in pointer)
        validator = Draft202012Validator({"$ref": f"{ROOT}#{fragment}"}, registry=self.registry)
        return [f"{what}: {fault.json_path}: {fault.message[:200]}" for fault in validator.iter_errors(body)]

    def _template(self, path, method):
        """The path of the document that leads to `path`; one with more words of its own comes before one with fewer."""
        parts = path.split("/")
        fitting = []
        for template, item in self.document["paths"].items():
            words = template.split("/")
            fits = len(words) == len(parts) and all(
                word == unquote(part) or (word.startswith("{") and part) for word, part in zip(words, parts)
            )
            if fits and method in item:
                fitting.append(template)
        return min(fitting, key=lambda template: template.count("{"), default=None)

    def _at(self, pointer):
        value = self.document
        for part in pointer:
            value = value[part]
        return value

    def _followed(self, pointer):
        while "$ref" in self._at(pointer):
            reference = self._at(pointer)["$ref"]
            assert reference.startswith("#/"), reference
            pointer = [unquote(part).replace("~1", "/").replace("~0", "~") for part in reference[2:].split("/")]
        return pointer
