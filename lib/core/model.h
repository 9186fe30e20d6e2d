/*
 * model.h - the words of the product as structs: what manifests say.
 *
 * Filled by the key tables (keys.h, manifest.h), checked by model_check();
 * read by everyone, changed by nobody afterwards.  All texts live in the arena
 * they were loaded in.
 */
#pragma once

#include "lib/adapters/js.h"
#include "lib/base/fail.h"
#include "lib/base/vec.h"

typedef enum Mode { MODE_NONE, MODE_SHARED, MODE_DEDICATED, MODE_CUSTOMER_DB, MODE_EXCLUSIVE, MODE_HYBRID, MODES } Mode;
const char	*mode_name(Mode m);		/* "dedicated" */
Mode		 mode_of(const char *name);	/* MODE_NONE if unknown */

typedef enum FieldType {
	TYPE_NONE, TYPE_TEXT, TYPE_INTEGER, TYPE_NUMBER, TYPE_BOOLEAN, TYPE_DATE, TYPE_TIMESTAMP,
	TYPE_UUID, TYPE_JSON, TYPE_BYTES, TYPE_REFERENCE, FIELD_TYPES
} FieldType;
const char	*type_name(FieldType t);

typedef enum OnDelete { ON_DELETE_RESTRICT, ON_DELETE_CASCADE, ON_DELETE_SET_NULL } OnDelete;

typedef enum Maybe { MAYBE, YES, NO } Maybe;	/* of a manifest: MAYBE is not said */

typedef struct Names { const char **at; size_t n, cap; } Names;

typedef struct Field {
	const char	*name;
	const char	*was;		/* its earlier name, or NULL */
	FieldType	 type;
	int64_t		 max_length;	/* text: characters; 0 = no limit */
	int64_t		 precision, scale;	/* number; precision 0 = no limit */
	bool		 required, unique, indexed;
	const char	*fallback;	/* the default, canonical text for its type; "now" (timestamp), "today" (date), "random" (uuid); NULL: none */
	const char	*to;		/* reference: the object */
	OnDelete	 on_delete;
	bool		 own;		/* the tenant's, not the model's */
	bool		 spare;		/* only in the wide model of a shared database (wide.h): "_text_1" */
	Place		 place;
} Field;

typedef struct Object {
	const char	*name;
	const char	*was;
	struct { Field *at; size_t n, cap; } fields;
	Names		 key;		/* names of fields; never empty after model_check: `id` uuid is put in where none is given */
	bool		 own;
	Place		 place;
} Object;

typedef struct Model {
	const char	*name, *display;
	int64_t		 version;
	struct { Object *at; size_t n, cap; } objects;
	Names		 drop;		/* "account.fax", "activity": data that the user allows to be dropped */
	const struct Map *rules;	/* model_check()'s: names on the server, so that merging looks at own parts only */
	Place		 place;
} Model;

typedef struct SecretRef {	/* "env:NAME", "file:PATH", "store:NAME"; NULL: none */
	const char	*ref;
	Place		 place;
} SecretRef;

typedef struct Region {
	const char	*name, *display;
	const char	*country;	/* ISO 3166-1 alpha-2 */
	Place		 place;
} Region;

typedef enum Supervise { SUPERVISE_SYSTEMD, SUPERVISE_RUNIT } Supervise;

typedef struct Host {		/* a machine that we reach over SSH */
	const char	*name, *display;
	const char	*region;
	const char	*owner;		/* the tenant whose customer bought it; NULL: the vendor's */
	const char	*address;
	int64_t		 port;
	const char	*user;
	Names		 host_keys;	/* pinned: "ssh-ed25519 AAAA..." */
	const char	*identity;	/* file of our private key; NULL: the agent */
	SecretRef	 passphrase;	/* of that file */
	const char	*jump;		/* the Host that the session goes through, or NULL */
	const char	*root;		/* everything that we put there is below it, but for users and units */
	int		 supervise;	/* Supervise: who keeps clusters and services running */
	bool		 sudo;		/* our user is not root and becomes it by sudo, for the helper alone */
	bool		 install;	/* missing packages of the distribution may be installed */
	const char	*user_prefix;	/* of the operating system's users that we make: "ch-" */
	Place		 place;
} Host;

typedef struct Setting { const char *name, *value; Place place; } Setting;
typedef struct OnHost {		/* a cluster that we make and keep, on a Host */
	const char	*host;		/* NULL: it stands already, `connect` says where */
	int64_t		 port, version;
	const char	*address;	/* that it listens on and is reached at; NULL: the host's */
	Names		 allow;		/* networks that may connect over TLS: "10.0.0.0/8" */
	struct { Setting *at; size_t n, cap; } settings;	/* of postgresql.conf */
} OnHost;

typedef struct Connect {
	const char	*host;
	int64_t		 port;
	const char	*user, *database;
	SecretRef	 password;
	const char	*sslmode, *sslrootcert, *sslcert, *sslkey;
} Connect;

typedef struct Cluster {
	const char	*name, *display;
	const char	*region;
	Names		 modes;		/* modes that may be placed here by region and capacity */
	int64_t		 capacity;	/* tenants; 0 = no automatic placement */
	int64_t		 connections;	/* jobs side by side, 1..16 */
	int64_t		 tenant_rows, tenant_bytes;	/* shared: past these a tenant has outgrown the mode */
	OnHost		 on;
	Connect		 connect;	/* with on.host it follows from that: manifest_hosts.c */
	int64_t		 gateway_connections;	/* of the gateways to it, over all tenants; 0 = no limit */
	Place		 place;
} Cluster;

typedef struct EnvVar { const char *name, *value; SecretRef secret; Place place; } EnvVar;	/* value or secret */
typedef struct Health {		/* when is an instance fit to serve? */
	const char	*http;		/* path: GET on its port answers 2xx; or */
	Names		 command;	/* argv, relative to the release: exit code 0 */
	int64_t		 deadline_ms, interval_ms;
} Health;
typedef enum ServiceListen { LISTEN_PORT, LISTEN_SOCKET } ServiceListen;
typedef struct BundleService {
	const char	*name;
	Names		 exec;		/* argv, relative to the release; "$PORT" is the instance's own */
	int64_t		 instances;	/* a host */
	int		 listen;	/* ServiceListen: an instance is given PORT or SOCKET */
	bool		 database;	/* it is given the tenant's database: PGHOST... and PGPASSFILE */
	Health		 health;
	struct { EnvVar *at; size_t n, cap; } env;
	int64_t		 drain_ms;	/* for requests under way when it is stopped */
	Place		 place;
} BundleService;
typedef struct BundleSource { const char *folder, *git, *commit, *path; } BundleSource;	/* path: within the commit, or NULL */
typedef struct Bundle {		/* a versioned set of services */
	const char	*name, *display;
	const char	*version;
	BundleSource	 source;
	int64_t		 keep;		/* releases that stay on a host beside the current one */
	struct { BundleService *at; size_t n, cap; } services;
	Place		 place;
} Bundle;

typedef struct ServiceAt {	/* a service of the tenant's bundle on a host */
	const char	*service, *host;
	int64_t		 port;		/* that its users come to; 0: it has none */
	Place		 place;
} ServiceAt;
typedef struct Rollout {	/* how a new release goes over the hosts */
	int64_t		 canary, wave;	/* hosts: first alone, then at a time */
	int64_t		 budget;	/* hosts that may fail or be out of reach before no more are begun */
} Rollout;

typedef struct OwnFields {	/* a tenant's own fields of one object of the model */
	const char	*object;
	struct { Field *at; size_t n, cap; } fields;
	Place		 place;
} OwnFields;

typedef enum PoolWord { POOL_WORD_SESSION, POOL_WORD_TRANSACTION } PoolWord;
typedef struct TenantGateway {	/* how the gateway serves it: catalog_gateway_spec() reads it of the record's text */
	int		 pool;		/* PoolWord */
	Maybe		 guard;		/* MAYBE: in mode shared */
	int64_t		 connections;	/* to servers; 0: the gateway's default */
} TenantGateway;

typedef struct Tenant {
	const char	*name, *display;
	const char	*model;
	Mode		 mode;
	const char	*cluster;	/* named, or NULL: chosen by region, mode and free capacity */
	const char	*region;
	const char	*residency;	/* country the data must stay in, or NULL */
	int64_t		 retention_ms;	/* data kept after delete; default 30 d */
	const char	*login;		/* the first login; default "app" */
	const char	*database, *owner_role;	/* customer-db: what the customer's admin made */
	struct { Object *at; size_t n, cap; } objects;		/* own objects */
	struct { OwnFields *at; size_t n, cap; } fields;	/* own fields */
	Names		 drop;		/* as in Model, for own objects and fields */
	TenantGateway	 gateway;
	const char	*bundle;	/* exclusive, hybrid: what runs for it; NULL: nothing */
	struct { ServiceAt *at; size_t n, cap; } services;
	Rollout		 rollout;
	Names		 crossings;	/* countries that services with its data may stand in, beside the database's own */
	bool		 accept_visible_names;	/* shared: its own objects' and fields' names may be seen by other tenants */
	Place		 place;
} Tenant;

#define MODEL_OBJECTS_MAX	500
#define OBJECT_FIELDS_MAX	1500	/* PostgreSQL's own limit is 1,600 columns */
#define INDEX_TEXT_MAX		600	/* characters of a text in a key, a unique rule or an index */

const Object	*model_object(const Model *m, const char *name);
const Field	*object_field(const Object *o, const char *name);
bool		 names_have(const Names *names, const char *name);
bool		 object_key_has(const Object *o, const char *field);

/* Completes and checks one model: default keys, references (target exists, its key is one field,
 * on_delete fits required), defaults by type, duplicates, reserved words, limits.  What is implied is
 * written out: key fields are required, `indexed` gives way to `unique`, and both to a key of one field. */
bool		 model_check(Ctx *cx, Model *m);
/* The same for a tenant's own objects and fields, as far as it can be said without its model. */
bool		 model_check_own(Ctx *cx, Tenant *tenant);
/* The tenant's effective model: a new Model in cx->mem = model + own objects and fields, checked.
 * `model` was checked before; its parts are shared. */
bool		 model_merge(Ctx *cx, const Model *model, const Tenant *tenant, Model **out);
/* The column type behind a field: a reference has the type, length, precision of its target's key. */
bool		 field_resolved(const Model *m, const Field *f, Field *out);
/* Objects in an order in which each comes after those it refers to where there is no cycle. */
bool		 model_order(Ctx *cx, const Model *m, const Object ***order);
/* Canonical JSON of name, version and objects (no places, no drop list), and back. */
char		*model_canonical(Arena *mem, const Model *m);
bool		 model_from_json(Ctx *cx, const char *json, Model **out);
/* The canonical text of a default, or FAIL_MANIFEST: "007" -> "7", a timestamp in UTC... */
bool		 model_default(Ctx *cx, const Field *f, const char *text, const char **out);
/* A name valid for objects and fields: [a-z][a-z0-9_]{0,47}, not a reserved word of SQL, not pg_...,
 * not a system column.  *why completes the sentence `"x" ...`. */
bool		 ident_valid(const char *name, const char **why);
/* The name of a spare field: "_", its type, "_", a number. */
bool		 spare_valid(const Field *f);
/* A name valid for tenants, clusters...: [a-z][a-z0-9-]{0,39}. */
bool		 name_valid(const char *name);
/* The server's name of a rule: object_field_suffix ("account_name_key"; field NULL: "account_pkey"), at
 * most 63 bytes: a longer one has 8 hex digits of its SHA-256 in the middle. */
char		*rule_name(Arena *mem, const char *object, const char *field, const char *suffix);
