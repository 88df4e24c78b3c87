// What the cluster's own OpenAPI documents (v3) say of a field.

/** Where a group and version's document is. */
const documentOf = (apiVersion) => (apiVersion.includes("/") ? `/openapi/v3/apis/${apiVersion}` : `/openapi/v3/api/${apiVersion}`);

const LISTED = /(?:[Oo]ne of|[Vv]alid (?:options|values) are|[Cc]an be|[Mm]ust be)[:\s]+((?:["'`]?[A-Z][A-Za-z]+["'`]?(?:,\s*|\s+)?(?:and\s+|or\s+)?)+)/;

export class Schema {
  /** @param {(path: string) => Promise<string>} ask what the cluster answers to a GET */
  constructor(ask) {
    this.ask = ask;
    this.documents = new Map();
  }

  document(path) {
    if (!this.documents.has(path)) this.documents.set(path, this.ask(path).then(JSON.parse).catch(() => ({})));
    return this.documents.get(path);
  }

  /** The schema of a kind, and the schemas that it refers to. */
  async root([apiVersion, kind]) {
    if (!apiVersion || !kind) return null;
    const all = (await this.document(documentOf(apiVersion))).components?.schemas ?? {};
    const [version, group = ""] = apiVersion.split("/").reverse();
    const is = (it) => it.kind === kind && it.version === version && (it.group ?? "") === group;
    const root = Object.values(all).find((schema) => schema["x-kubernetes-group-version-kind"]?.some(is));
    return root ? { schema: root, all } : null;
  }

  /** The schema at the end of a path of names; lists are gone into. */
  async at(kind, path) {
    const root = await this.root(kind);
    if (!root) return null;
    const { all } = root;
    let schema = settle(root.schema, all);
    let required = false;
    for (const name of path) {
      while (schema.type === "array") schema = settle(schema.items ?? {}, all);
      const next = schema.properties?.[name] ?? schema.additionalProperties;
      if (!next || next === true) return null;
      required = schema.required?.includes(name) ?? false;
      schema = settle(next, all);
    }
    return { schema, all, required };
  }

  /** The fields that an object at a path may have. */
  async fields(kind, path) {
    if (!path.length && !(kind[0] && kind[1])) {
      return ["apiVersion", "kind", "metadata", "spec"].map((name) => ({ name, type: "", description: "" }));
    }
    const found = await this.at(kind, path);
    if (!found) return [];
    let { schema } = found;
    while (schema.type === "array") schema = settle(schema.items ?? {}, found.all);
    return Object.entries(schema.properties ?? {}).map(([name, raw]) => {
      const field = settle(raw, found.all);
      const nested = field.type === "array" ? "list" : field.properties || field.additionalProperties ? "map" : "";
      return {
        name,
        type: typeOf(field, found.all),
        description: field.description ?? "",
        required: schema.required?.includes(name) ?? false,
        nested,
      };
    });
  }

  /** What a field is. */
  async field(kind, path) {
    const found = await this.at(kind, path);
    if (!found) return null;
    const type = typeOf(found.schema, found.all) + (found.required ? " *" : "");
    return { type, description: found.schema.description ?? "" };
  }

  /** The values that a field may have, as far as the schema names them. */
  async values(kind, path) {
    const found = await this.at(kind, path);
    if (!found) return [];
    if (found.schema.enum) return found.schema.enum.filter((value) => value !== "").map(String);
    if (found.schema.type === "boolean") return ["true", "false"];
    // Upstream's documents name most values in words only: "One of Always, Never, IfNotPresent."
    const listed = LISTED.exec(found.schema.description ?? "")?.[1] ?? "";
    return listed.match(/\b[A-Z][A-Za-z]+\b/g) ?? [];
  }
}

/** A schema with what it refers to; a field's own description comes first. */
function settle(schema, all) {
  const reference = schema.$ref ?? (schema.allOf?.length === 1 ? schema.allOf[0].$ref : undefined);
  if (!reference) return schema;
  const target = all[reference.split("/").at(-1)] ?? {};
  const { $ref: _, allOf: __, default: ___, ...own } = schema;
  return { ...settle(target, all), ...own };
}

function typeOf(schema, all) {
  if (schema.type === "array") return `[]${typeOf(settle(schema.items ?? {}, all), all)}`;
  if (schema.additionalProperties) return "map";
  return schema.format ? `${schema.type} (${schema.format})` : (schema.type ?? "object");
}
