//! JSON Schemas of `docs/schemas`, and documents compared with them. A published schema allows additional properties;
//! here they are refused. The schemas use fifteen keywords and our own `verbs`; any other keyword fails the test.

use crate::world::Run;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

/// File of an error or a refusal, whatever the command.
pub const ERROR: &str = "error";
/// File of the parts that several documents share.
const SHARED: &str = "common";
/// The keywords of JSON Schema that the schemas use; `verbs` is ours.
const KEYWORDS: [&str; 16] = [
    "$defs",
    "$ref",
    "$schema",
    "additionalProperties",
    "anyOf",
    "const",
    "dependentRequired",
    "description",
    "enum",
    "examples",
    "items",
    "properties",
    "required",
    "title",
    "type",
    "verbs",
];
/// Verbs that print a document without `--json`, unless `--no-json` is given.
const ALWAYS_JSON: &str = "agent decision ";

/// The schemas, by the name of their file.
pub struct Schemas {
    files: BTreeMap<String, Value>,
    verbs: BTreeMap<String, String>,
}

/// A property of a schema, at an object of a document.
#[derive(Debug)]
pub struct Property<'a> {
    /// Place in the schemas: file or shared part, and path.
    pub place: String,
    /// The object that has or lacks it, as a JSON pointer.
    pub object: String,
    /// Its name.
    pub key: &'a str,
    /// Whether the document has it.
    pub is_present: bool,
    /// Whether the object has to have it.
    pub is_required: bool,
    /// Its types.
    pub types: BTreeSet<String>,
}

impl Schemas {
    /// The schemas of this checkout.
    ///
    /// # Panics
    /// When one is no schema, or two describe the same verb.
    pub fn published() -> &'static Self {
        static PUBLISHED: OnceLock<Schemas> = OnceLock::new();
        PUBLISHED.get_or_init(|| {
            let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schemas");
            Self::of(read_files(Path::new(directory)))
        })
    }

    /// Schemas by the name of their file.
    ///
    /// # Panics
    /// As [`published`](Self::published).
    pub fn of(files: BTreeMap<String, Value>) -> Self {
        let mut verbs = BTreeMap::new();
        for (file, schema) in &files {
            for verb in texts(&schema["verbs"]) {
                let earlier = verbs.insert(verb.to_owned(), file.clone());
                assert_eq!(earlier, None, "{verb} has two schemas");
            }
        }
        let schemas = Self { files, verbs };
        for (file, schema) in &schemas.files {
            schemas.assert_known(&Place::of(file), schema);
        }
        schemas
    }

    /// Asserts that a schema has no keyword that is not compared, and that what it refers to exists.
    fn assert_known(&self, place: &Place<'_>, schema: &Value) {
        let at = &place.at;
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            assert!(KEYWORDS.contains(&keyword.as_str()), "{at}: `{keyword}` is not compared");
            let parts: Vec<&Value> = match (keyword.as_str(), value) {
                ("properties" | "$defs", Value::Object(parts)) => parts.values().collect(),
                ("anyOf", Value::Array(parts)) => parts.iter().collect(),
                ("items" | "additionalProperties", part) => vec![part],
                ("$ref", _) => {
                    assert!(
                        self.referenced(place, schema).is_some_and(|(_, part)| part.is_object()),
                        "{at}: {value}"
                    );
                    continue;
                }
                _ => continue,
            };
            parts.into_iter().for_each(|part| self.assert_known(place, part));
        }
    }

    /// The schemas as they are in their files.
    pub fn files(&self) -> &BTreeMap<String, Value> {
        &self.files
    }

    /// The verbs that have a schema.
    pub fn verbs(&self) -> impl Iterator<Item = &str> {
        self.verbs.keys().map(String::as_str)
    }

    /// The verb of a command line that has a schema.
    pub fn verb_of(&self, line: &str) -> Option<&str> {
        let fits = |verb: &&str| {
            line.strip_prefix(verb).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        self.verbs().filter(fits).max_by_key(|verb| verb.len())
    }

    /// File of the schema of what `line` printed.
    pub fn file_of(&self, line: &str, document: &Value) -> Option<&str> {
        if ["error", "refused"].map(Value::from).contains(&document["result"]) {
            return Some(ERROR);
        }
        self.verb_of(line).map(|verb| self.verbs[verb].as_str())
    }

    /// Compares a document with the schema of `file`; the error names each difference.
    ///
    /// # Errors
    /// When it differs.
    pub fn judge(&self, file: &str, document: &Value) -> Result<(), String> {
        let mut differences = Vec::new();
        self.compare(&Place::of(file), &self.files[file], document, "", &mut differences);
        if differences.is_empty() { Ok(()) } else { Err(format!("{file}: {}", differences.join("; "))) }
    }

    /// Compares a value that has to have no key beside those of its schema.
    fn compare(
        &self,
        place: &Place<'_>,
        schema: &Value,
        value: &Value,
        pointer: &str,
        differences: &mut Vec<String>,
    ) {
        let known = self.compare_known(place, schema, value, pointer, differences);
        let is_open = schema["additionalProperties"] == true;
        let keys = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !is_open && !known.contains(key.as_str()));
        differences.extend(keys.map(|(key, _)| format!("`{}` is unknown", below(pointer, key))));
    }

    /// Compares a value with a schema, and returns the keys that the schema describes.
    fn compare_known<'v>(
        &self,
        place: &Place<'_>,
        schema: &Value,
        value: &'v Value,
        pointer: &str,
        differences: &mut Vec<String>,
    ) -> BTreeSet<&'v str> {
        let types = texts(&schema["type"]);
        let is_type = |name: &&str| *name == type_of(value) || *name == "number" && value.is_number();
        if !types.is_empty() && !types.iter().any(is_type) {
            differences.push(format!("`{pointer}` is {}, not {}", type_of(value), types.join(" or ")));
        }
        if allowed(schema).is_some_and(|allowed| !allowed.contains(&value)) {
            differences.push(format!("`{pointer}` is another constant: {value}"));
        }
        let mut known = BTreeSet::new();
        if let Some((place, part)) = self.referenced(place, schema) {
            known.extend(self.compare_known(&place, part, value, pointer, differences));
        }
        let choices = schema["anyOf"].as_array().into_iter().flatten().map(|choice| {
            let mut found = Vec::new();
            let known = self.compare_known(place, choice, value, pointer, &mut found);
            (known, found)
        });
        let (fitting, others): (Vec<_>, Vec<_>) = choices.partition(|(_, found)| found.is_empty());
        known.extend(fitting.iter().flat_map(|(known, _)| known));
        if fitting.is_empty()
            && let Some((_, found)) = others.into_iter().min_by_key(|(_, found)| found.len())
        {
            differences.extend(found);
            known.extend(value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()));
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let part = schema["properties"].get(key);
            let rest = schema.get("additionalProperties").filter(|rest| rest.is_object());
            if let Some(part) = part.or(rest) {
                known.insert(key.as_str());
                self.compare(place, part, value, &below(pointer, key), differences);
            }
        }
        if let Some(object) = value.as_object() {
            let missing = needed(schema, object).into_iter().filter(|key| !object.contains_key(*key));
            differences.extend(missing.map(|key| format!("`{}` is missing", below(pointer, key))));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.compare(place, &schema["items"], item, &format!("{pointer}/{index}"), differences);
        }
        known
    }

    /// Asserts that a run of `arguments` printed what it has to: exactly one document, as its schema describes it. A verb
    /// without a schema is not judged: `every_verb_has_one_schema_or_no_document` finds such a verb; nor is a run that was
    /// killed.
    ///
    /// # Panics
    /// When it differs.
    pub fn assert_printed(&self, arguments: &[String], run: &Run) {
        let line = arguments.join(" ");
        let options = arguments.iter().map(String::as_str).take_while(|argument| *argument != "--");
        let options: BTreeSet<&str> = options.collect();
        let has = |option: &str| options.contains(option);
        let always = line.starts_with(ALWAYS_JSON) && !has("--no-json") && !has("--help");
        let has_document = always || has("--json");
        if !has_document || run.code.is_none() {
            return;
        }
        let document = run.json();
        let Some(file) = self.file_of(&line, &document) else { return };
        if let Err(why) = self.judge(file, &document) {
            panic!("docs/schemas differs from what `{line}` printed: {why}\n{document:#}");
        }
    }

    /// The properties of the schema of `file`, at each object of a document.
    pub fn properties(&self, file: &str, document: &Value) -> Vec<Property<'_>> {
        let mut found = Vec::new();
        self.visit(&Place::of(file), &self.files[file], document, "", &mut found);
        found
    }

    /// The places of all properties, as [`properties`](Self::properties) names them.
    pub fn places(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (file, schema) in &self.files {
            list(schema, file, &mut found);
        }
        for (name, part) in self.files[SHARED]["$defs"].as_object().into_iter().flatten() {
            list(part, &format!("{SHARED}#{name}"), &mut found);
        }
        found
    }

    fn visit<'a>(
        &'a self,
        place: &Place<'_>,
        schema: &'a Value,
        value: &Value,
        pointer: &str,
        found: &mut Vec<Property<'a>>,
    ) {
        if let Some((place, part)) = self.referenced(place, schema) {
            self.visit(&place, part, value, pointer, found);
        }
        let choices = schema["anyOf"].as_array().into_iter().flatten().enumerate();
        if let Some((index, choice)) = choices.into_iter().find(|(_, choice)| self.fits(place, choice, value))
        {
            let at = if choice["properties"].is_object() {
                format!("{}|{index}", place.at)
            } else {
                place.at.clone()
            };
            self.visit(&Place { file: place.file, at }, choice, value, pointer, found);
        }
        if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
            let required = needed(schema, object);
            for (key, part) in properties {
                let inner = Place { file: place.file, at: format!("{}.{key}", place.at) };
                let is_required = required.contains(key.as_str());
                let types = self.types(&inner, part);
                let (at, object_at) = (inner.at.clone(), pointer.to_owned());
                let is_present = object.contains_key(key);
                found.push(Property { place: at, object: object_at, key, is_present, is_required, types });
                if let Some(value) = object.get(key) {
                    self.visit(&inner, part, value, &below(pointer, key), found);
                }
            }
        }
        let rest = &schema["additionalProperties"];
        for (key, value) in value.as_object().into_iter().flatten().filter(|_| rest.is_object()) {
            let inner = Place { file: place.file, at: format!("{}.*", place.at) };
            self.visit(&inner, rest, value, &below(pointer, key), found);
        }
        for (index, value) in value.as_array().into_iter().flatten().enumerate() {
            let inner = Place { file: place.file, at: format!("{}[]", place.at) };
            self.visit(&inner, &schema["items"], value, &format!("{pointer}/{index}"), found);
        }
    }

    /// The part that a schema refers to, and its place.
    fn referenced<'a>(&'a self, place: &Place<'_>, schema: &Value) -> Option<(Place<'static>, &'a Value)> {
        let (_, name) = schema["$ref"].as_str()?.rsplit_once('/')?;
        let file = if place.file == SHARED { "" } else { "common.json" };
        assert_eq!(schema["$ref"], format!("{file}#/$defs/{name}"), "{}", place.at);
        let part = &self.files[SHARED]["$defs"][name];
        Some((Place { file: SHARED, at: format!("{SHARED}#{name}") }, part))
    }

    /// Whether a value is of the kind that one of several schemas describes: its type, its constants and its required keys.
    fn fits(&self, place: &Place<'_>, schema: &Value, value: &Value) -> bool {
        if let Some((place, part)) = self.referenced(place, schema)
            && !self.fits(&place, part, value)
        {
            return false;
        }
        let types = texts(&schema["type"]);
        if !types.is_empty() && !types.contains(&type_of(value)) {
            return false;
        }
        let constants = schema["properties"].as_object().into_iter().flatten();
        let mut constants = constants.filter_map(|(key, part)| Some((key, allowed(part)?)));
        constants.all(|(key, allowed)| allowed.contains(&&value[key.as_str()]))
            && texts(&schema["required"]).iter().all(|key| value.get(key).is_some())
    }

    /// The types that a schema allows.
    fn types(&self, place: &Place<'_>, schema: &Value) -> BTreeSet<String> {
        let mut types: BTreeSet<String> = texts(&schema["type"]).into_iter().map(str::to_owned).collect();
        types.extend(allowed(schema).into_iter().flatten().map(|value| type_of(value).to_owned()));
        if let Some((place, part)) = self.referenced(place, schema) {
            types.extend(self.types(&place, part));
        }
        for choice in schema["anyOf"].as_array().into_iter().flatten() {
            types.extend(self.types(place, choice));
        }
        types
    }
}

/// The properties of a schema, without those of the parts that it refers to.
fn list(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    for (key, part) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        list(part, &at, found);
        found.insert(at);
    }
    for (index, choice) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        list(choice, &format!("{at}|{index}"), found);
    }
    list_inner(&schema["items"], &format!("{at}[]"), found);
    list_inner(&schema["additionalProperties"], &format!("{at}.*"), found);
}

fn list_inner(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    if schema.is_object() {
        list(schema, at, found);
    }
}

/// A place in the schemas.
struct Place<'a> {
    file: &'a str,
    at: String,
}

impl<'a> Place<'a> {
    fn of(file: &'a str) -> Self {
        Self { file, at: file.to_owned() }
    }
}

fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The type of a value, as schemas name it.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The keys that a schema requires of an object.
fn needed<'a>(schema: &'a Value, object: &Map<String, Value>) -> BTreeSet<&'a str> {
    let together = schema["dependentRequired"].as_object().into_iter().flatten();
    let together = together.filter(|(key, _)| object.contains_key(*key)).flat_map(|(_, keys)| texts(keys));
    texts(&schema["required"]).into_iter().chain(together).collect()
}

/// The constants that a schema allows.
fn allowed(schema: &Value) -> Option<Vec<&Value>> {
    let listed = schema["enum"].as_array().map(|values| values.iter().collect());
    listed.or_else(|| schema.get("const").map(|value| vec![value]))
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn read_files(directory: &Path) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(directory).unwrap_or_else(|why| panic!("{}: {why}", directory.display()));
    let files = files.flatten().map(|file| {
        let path = file.path();
        let read = std::fs::read(&path).map_err(|why| why.to_string());
        let schema = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|why| why.to_string()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        (name, schema.unwrap_or_else(|why| panic!("{}: {why}", path.display())))
    });
    files.collect()
}
