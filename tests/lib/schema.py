"""schema.py FILE NAME [lines] - does standard input fit the definition NAME of a JSON Schema?

With `lines` it is JSON lines: the items of a list, one a line.
Says what does not fit, and ends with 1.
"""

import json
import sys

import jsonschema


def main(path, name, form="whole"):
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    if name not in schema["$defs"]:
        sys.exit(f"{path} has no definition {name}")
    jsonschema.Draft202012Validator.check_schema(schema)
    text = sys.stdin.read()
    value = [json.loads(line) for line in text.splitlines()] if form == "lines" else json.loads(text)
    wanted = {"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]}
    errors = list(jsonschema.Draft202012Validator(wanted).iter_errors(value))
    for error in errors:
        where = "/".join(str(part) for part in error.absolute_path)
        print(f"{name}: /{where}: {error.message}", file=sys.stderr)
    sys.exit(1 if errors else 0)


main(*sys.argv[1:])
