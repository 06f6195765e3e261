"""One row of the table of settings: what is known of a setting besides its value."""

from dataclasses import dataclass, replace
from dataclasses import fields as fields_of

from watcher.errors import masked
from watcher.settings.forms import FLAG, SECRET, Form, Secret


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `default` is text as a user would write it; None: must be given."""

    group: str
    form: Form
    default: str | None
    help: str
    name: str = ""

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return self.field.upper()

    @property
    def secret(self) -> bool:
        return self.form is SECRET

    @property
    def switch(self) -> bool:
        return self.form is FLAG

    def shown(self, text: str) -> str:
        """A value for people: never a secret, nor a password inside a URL."""
        return str(Secret(text)) if self.secret else masked(text)


def row(group: str, form: Form, default: str | None, help: str) -> dict[str, Setting]:
    return {"setting": Setting(group, form, default, help)}  # the field gives the name


def rows_of(table: type) -> tuple[Setting, ...]:
    """The rows of a dataclass whose fields were made with `row`, in order."""
    return tuple(
        replace(field.metadata["setting"], name=field.name.replace("_", "-"))
        for field in fields_of(table)
        if field.metadata
    )
