/*
 * The tables of all kinds: what a manifest may say, in which words.
 */
#include "lib/core/kinds.h"

#include <string.h>

#define DAY_MS INT64_C(86400000)

_Static_assert(offsetof(Region, name) == 0 && offsetof(Cluster, name) == 0 &&
	offsetof(Model, name) == 0 && offsetof(Tenant, name) == 0 && offsetof(Host, name) == 0 &&
	offsetof(Bundle, name) == 0,
    "a kind begins with its name");
_Static_assert(offsetof(Region, display) == offsetof(Named, display) &&
	offsetof(Cluster, display) == offsetof(Named, display) &&
	offsetof(Model, display) == offsetof(Named, display) &&
	offsetof(Host, display) == offsetof(Named, display) &&
	offsetof(Bundle, display) == offsetof(Named, display) &&
	offsetof(Tenant, display) == offsetof(Named, display),
    "and its display name");

const char *const mode_words[] = { "", "shared", "dedicated", "customer-db", "exclusive", "hybrid",
	NULL };
const char *const type_words[] = { "", "text", "integer", "number", "boolean", "date", "timestamp",
	"uuid", "json", "bytes", "reference", NULL };
const char *const on_delete_words[] = { "restrict", "cascade", "set-null", NULL };
static const char *const sslmode_words[] = { "disable", "prefer", "require", "verify-ca",
	"verify-full", NULL };
static const char *const supervise_words[] = { "systemd", "runit", NULL };
static const char *const listen_words[] = { "port", "socket", NULL };
static const char *const pool_words[] = { "session", "transaction", NULL };
static const char *const api_words[] = { "copyhold/v1", NULL };
static const char *const kind_words[] = { "Region", "Host", "Cluster", "Model", "Bundle", "Tenant",
	NULL };

/* clang-format off */

/* ISO 3166-1 alpha-2 */
static const char *const countries[] = {
	"AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX",
	"AZ", "BA", "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ",
	"BR", "BS", "BT", "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK",
	"CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM",
	"DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR",
	"GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS",
	"GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN",
	"IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN",
	"KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV",
	"LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP", "MQ",
	"MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI",
	"NL", "NO", "NP", "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM",
	"PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS", "RU", "RW", "SA", "SB", "SC",
	"SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST", "SV",
	"SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR",
	"TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI",
	"VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
	NULL
};

#define KEYS_END { .type = KEY_END }
#define AT(type, member) .offset = offsetof(type, member)

/* --- Region ----------------------------------------------------------------- */

static const Key region_keys[] = {
	{ KEY_TEXT, "country", AT(Region, country), .required = true, .words = countries,
	  .doc = "the country whose law holds there, ISO 3166-1 alpha-2 in capitals" },
	KEYS_END
};
static const KeyTable region_table = {
	"Region spec", sizeof(Region), offsetof(Region, place), region_keys,
	"A place with a legal country"
};

/* --- Host ------------------------------------------------------------------- */

static const Key host_keys[] = {
	{ KEY_NAME, "region", AT(Host, region), .required = true,
	  .doc = "the Region that the machine stands in" },
	{ KEY_NAME, "owner", AT(Host, owner),
	  .doc = "the tenant whose customer bought the machine; none: the vendor's own" },
	{ KEY_TEXT, "address", AT(Host, address), .required = true, .max = 255,
	  .doc = "name or address of the machine" },
	{ KEY_INT, "port", AT(Host, port), .min = 1, .max = 65535, .fallback = "22",
	  .doc = "port of its SSH server" },
	{ KEY_TEXT, "user", AT(Host, user), .max = 32, .fallback = "copyhold",
	  .doc = "our user there" },
	{ KEY_NAMES, "hostKeys", AT(Host, host_keys), .required = true, .max = 2000,
	  .doc = "the machine's public keys, each as in a known_hosts file without the name: "
		 "`ssh-ed25519 AAAA...`; any other is refused" },
	{ KEY_PATH, "identity", AT(Host, identity),
	  .doc = "file of our private key; none: the keys of the SSH agent" },
	{ KEY_SECRET, "passphrase", AT(Host, passphrase),
	  .doc = "where the passphrase of that file is found" },
	{ KEY_NAME, "jump", AT(Host, jump),
	  .doc = "the Host through which the machine is reached" },
	{ KEY_TEXT, "root", AT(Host, root), .max = 80, .fallback = "/var/lib/copyhold",
	  .doc = "folder there that holds everything of ours, but for users and units" },
	{ KEY_ENUM, "supervise", AT(Host, supervise), .words = supervise_words,
	  .fallback = "systemd", .doc = "who keeps clusters and services running" },
	{ KEY_BOOL, "sudo", AT(Host, sudo),
	  .doc = "whether our user becomes root by sudo, for our helper alone" },
	{ KEY_BOOL, "install", AT(Host, install),
	  .doc = "whether missing packages of the distribution may be installed" },
	{ KEY_TEXT, "userPrefix", AT(Host, user_prefix), .max = 8, .fallback = "ch-",
	  .doc = "how the names of the users begin that we make there" },
	KEYS_END
};
static const KeyTable host_table = {
	"Host spec", sizeof(Host), offsetof(Host, place), host_keys,
	"A machine that is reached over SSH"
};

/* --- Cluster ---------------------------------------------------------------- */

static const Key setting_keys[] = {
	{ KEY_TEXT, "name", AT(Setting, name), .required = true, .max = 63,
	  .doc = "as in postgresql.conf" },
	{ KEY_SCALAR, "value", AT(Setting, value), .required = true, .max = 500,
	  .doc = "its value" },
	KEYS_END
};
static const KeyTable setting_table = {
	"setting", sizeof(Setting), offsetof(Setting, place), setting_keys,
	"A setting of the server"
};
static const Key on_keys[] = {
	{ KEY_NAME, "host", AT(OnHost, host), .required = true,
	  .doc = "the Host that it is made on and kept running on" },
	{ KEY_INT, "port", AT(OnHost, port), .min = 1024, .max = 65535, .fallback = "5432",
	  .doc = "port of the server" },
	{ KEY_INT, "version", AT(OnHost, version), .min = 13, .max = 99, .fallback = "15",
	  .doc = "major version of PostgreSQL, from the distribution" },
	{ KEY_TEXT, "address", AT(OnHost, address), .max = 255,
	  .doc = "address that it listens on and is reached at; none: the host's" },
	{ KEY_NAMES, "allow", AT(OnHost, allow), .max = 64,
	  .doc = "networks that may connect, over TLS: `10.0.0.0/8`; beside them the host itself" },
	{ KEY_LIST, "settings", AT(OnHost, settings), .table = &setting_table, .max = 200,
	  .doc = "settings of the server" },
	KEYS_END
};
static const KeyTable on_table = {
	"on", sizeof(OnHost), -1, on_keys, "A server that copyhold makes"
};

static const Key connect_keys[] = {
	{ KEY_TEXT, "host", AT(Connect, host), .required = true, .max = 255,
	  .doc = "name or address of the server, or the folder of its unix socket" },
	{ KEY_INT, "port", AT(Connect, port), .min = 1, .max = 65535, .fallback = "5432",
	  .doc = "port of the server" },
	{ KEY_TEXT, "user", AT(Connect, user), .max = 63, .fallback = "copyhold",
	  .doc = "our own login there" },
	{ KEY_TEXT, "database", AT(Connect, database), .max = 63, .fallback = "copyhold",
	  .doc = "our own database there, or the customer's" },
	{ KEY_SECRET, "password", AT(Connect, password),
	  .doc = "where the login's password is found" },
	{ KEY_TEXT, "sslmode", AT(Connect, sslmode), .words = sslmode_words,
	  .doc = "how much TLS is asked for, as libpq has it" },
	{ KEY_PATH, "sslrootcert", AT(Connect, sslrootcert),
	  .doc = "file with the CA that signed the server's certificate" },
	{ KEY_PATH, "sslcert", AT(Connect, sslcert),
	  .doc = "file with our client certificate" },
	{ KEY_PATH, "sslkey", AT(Connect, sslkey),
	  .doc = "file with the key of our client certificate" },
	KEYS_END
};
static const KeyTable connect_table = {
	"connect", sizeof(Connect), -1, connect_keys, "How the server is reached"
};

static const Key cluster_gateway_keys[] = {
	{ KEY_INT, "connections", .offset = 0, .max = 100000, .fallback = "0",
	  .doc = "so many server connections at most, over all tenants, of each gateway; 0: no limit" },
	KEYS_END
};
static const KeyTable cluster_gateway_table = {
	"gateway", sizeof(int64_t), -1, cluster_gateway_keys, "What the gateway may take of the server"
};

static const Key cluster_keys[] = {
	{ KEY_NAME, "region", AT(Cluster, region), .required = true,
	  .doc = "the Region that the server stands in" },
	{ KEY_NAMES, "modes", AT(Cluster, modes), .words = mode_words,
	  .doc = "the modes in which tenants may live here; empty: only tenants that name the cluster" },
	{ KEY_INT, "capacity", AT(Cluster, capacity), .max = 1000000, .fallback = "0",
	  .doc = "so many tenants are placed here by region; 0: only tenants that name the cluster" },
	{ KEY_INT, "connections", AT(Cluster, connections), .min = 1, .max = 16, .fallback = "2",
	  .doc = "jobs that run side by side on the server" },
	{ KEY_INT, "tenantRows", AT(Cluster, tenant_rows), .min = 1, .max = INT64_C(1000000000000),
	  .fallback = "500000",
	  .doc = "shared: with more rows than this a tenant has outgrown the mode" },
	{ KEY_INT, "tenantBytes", AT(Cluster, tenant_bytes), .min = 1, .max = INT64_C(1000000000000000),
	  .fallback = "1073741824",
	  .doc = "shared: with more bytes than this a tenant has outgrown the mode" },
	{ KEY_PART, "on", AT(Cluster, on), .table = &on_table,
	  .doc = "the Host that copyhold makes the server on; without it `connect` is needed" },
	{ KEY_PART, "connect", AT(Cluster, connect), .table = &connect_table,
	  .doc = "how a server that stands already is reached" },
	{ KEY_PART, "gateway", AT(Cluster, gateway_connections), .table = &cluster_gateway_table,
	  .doc = "what the gateway may take of the server" },
	KEYS_END
};
static const KeyTable cluster_table = {
	"Cluster spec", sizeof(Cluster), offsetof(Cluster, place), cluster_keys,
	"A PostgreSQL server that tenants' data can live on"
};

/* --- Model ------------------------------------------------------------------ */

#define FIELD_NAME									\
	{ KEY_IDENT, "name", AT(Field, name), .required = true,				\
	  .doc = "name of the field" }
#define FIELD_KEYS									\
	{ KEY_IDENT, "was", AT(Field, was),						\
	  .doc = "its earlier name: the field is renamed and keeps its values" },	\
	{ KEY_ENUM, "type", AT(Field, type), .required = true, .words = type_words,	\
	  .doc = "type of its values" },						\
	{ KEY_INT, "maxLength", AT(Field, max_length), .min = 1, .max = 10485760,	\
	  .doc = "text: greatest number of characters" },				\
	{ KEY_INT, "precision", AT(Field, precision), .min = 1, .max = 1000,		\
	  .doc = "number: digits in all" },						\
	{ KEY_INT, "scale", AT(Field, scale), .max = 1000,				\
	  .doc = "number: digits after the point" },					\
	{ KEY_BOOL, "required", AT(Field, required),					\
	  .doc = "whether each row must have a value; implied by key" },		\
	{ KEY_BOOL, "unique", AT(Field, unique),					\
	  .doc = "whether no two rows may have the same value" },			\
	{ KEY_BOOL, "indexed", AT(Field, indexed),					\
	  .doc = "whether rows are found fast by it; implied by unique" },		\
	{ KEY_SCALAR, "default", AT(Field, fallback),					\
	  .doc = "value of a row that gives none; `now` (timestamp), `today` (date) and "	\
	  "`random` (uuid) are made by the server" },					\
	{ KEY_IDENT, "to", AT(Field, to),						\
	  .doc = "reference: the object that it points to" },				\
	{ KEY_ENUM, "onDelete", AT(Field, on_delete), .words = on_delete_words,		\
	  .fallback = "restrict",							\
	  .doc = "reference: what happens when the row that it points to is deleted" }

static const Key field_keys[] = { FIELD_NAME, FIELD_KEYS, KEYS_END };
static const KeyTable field_table = {
	"field", sizeof(Field), offsetof(Field, place), field_keys, "A column of an object"
};

#define OBJECT_KEYS(fields_table)							\
	{ KEY_IDENT, "name", AT(Object, name), .required = true,			\
	  .doc = "name of the object" },						\
	{ KEY_IDENT, "was", AT(Object, was),						\
	  .doc = "its earlier name: the object is renamed and keeps its rows" },	\
	{ KEY_LIST, "fields", AT(Object, fields), .table = (fields_table),		\
	  .max = OBJECT_FIELDS_MAX, .doc = "its fields, in the order of the columns" },	\
	{ KEY_NAMES, "key", AT(Object, key), .max = 48,					\
	  .doc = "the fields that tell its rows apart; none: `id`, a uuid that is put in if missing" }

static const Key object_keys[] = { OBJECT_KEYS(&field_table), KEYS_END };
static const KeyTable object_table = {
	"object", sizeof(Object), offsetof(Object, place), object_keys,
	"A table of the tenant's application"
};

static const Key model_keys[] = {
	{ KEY_INT, "version", AT(Model, version), .required = true, .min = 1, .max = 1000000000,
	  .doc = "number of this state of the model; grows with each change" },
	{ KEY_LIST, "objects", AT(Model, objects), .required = true, .table = &object_table,
	  .min = 1, .max = MODEL_OBJECTS_MAX, .doc = "its objects" },
	{ KEY_NAMES, "drop", AT(Model, drop), .max = 97,
	  .doc = "objects and fields (`activity`, `account.fax`) whose data may be removed" },
	KEYS_END
};
static const KeyTable model_table = {
	"Model spec", sizeof(Model), offsetof(Model, place), model_keys,
	"The objects and fields of the tenants' application"
};

/* A spare field's name is none that a manifest can give: model_from_json() looks at it. */
static const Key shape_field_keys[] = {
	{ KEY_TEXT, "name", AT(Field, name), .required = true, .max = 63,
	  .doc = "name of the field" },
	FIELD_KEYS,
	{ KEY_BOOL, "spare", AT(Field, spare),
	  .doc = "a column of a shared database that tenants' own fields take" },
	{ KEY_BOOL, "own", AT(Field, own), .doc = "the tenant's, not the model's" },
	KEYS_END
};
static const KeyTable shape_field_table = {
	"field", sizeof(Field), offsetof(Field, place), shape_field_keys, "A column of an object"
};
static const Key shape_object_keys[] = {
	OBJECT_KEYS(&shape_field_table),
	{ KEY_BOOL, "own", AT(Object, own), .doc = "the tenant's, not the model's" },
	KEYS_END
};
static const KeyTable shape_object_table = {
	"object", sizeof(Object), offsetof(Object, place), shape_object_keys,
	"A table of the tenant's application"
};
static const Key shape_keys[] = {
	{ KEY_NAME, "name", AT(Model, name), .required = true, .doc = "name of the model" },
	{ KEY_INT, "version", AT(Model, version), .max = 1000000000, .doc = "its version" },
	{ KEY_LIST, "objects", AT(Model, objects), .table = &shape_object_table,
	  .doc = "its objects" },
	KEYS_END
};
const KeyTable shape_table = {
	"shape", sizeof(Model), offsetof(Model, place), shape_keys,
	"A model as one tenant has it, its own objects and fields included"
};

/* --- Bundle ----------------------------------------------------------------- */

static const Key source_keys[] = {
	{ KEY_PATH, "folder", AT(BundleSource, folder),
	  .doc = "a folder whose files are the release" },
	{ KEY_PATH, "git", AT(BundleSource, git),
	  .doc = "a git repository on this machine; needs commit" },
	{ KEY_TEXT, "commit", AT(BundleSource, commit), .max = 64,
	  .doc = "git: the full id of the commit whose files are the release" },
	{ KEY_TEXT, "path", AT(BundleSource, path), .max = 500,
	  .doc = "git: the folder of the commit; none: all of it" },
	KEYS_END
};
static const KeyTable source_table = {
	"source", sizeof(BundleSource), -1, source_keys, "Where a release comes from"
};
static const Key health_keys[] = {
	{ KEY_TEXT, "http", AT(Health, http), .max = 500,
	  .doc = "path: an instance is healthy when a GET of it on its port answers 2xx" },
	{ KEY_WORDS, "command", AT(Health, command), .max = 500,
	  .doc = "or a program of the release and its words: healthy when it ends with 0" },
	{ KEY_SPAN, "deadline", AT(Health, deadline_ms), .min = 1000, .max = 3600 * 1000,
	  .fallback = "30s", .doc = "by when a new instance has become healthy" },
	{ KEY_SPAN, "interval", AT(Health, interval_ms), .min = 1, .max = 60 * 1000,
	  .fallback = "1s", .doc = "pause between two looks" },
	KEYS_END
};
static const KeyTable health_table = {
	"health", sizeof(Health), -1, health_keys, "When an instance is fit to serve"
};
static const Key env_keys[] = {
	{ KEY_TEXT, "name", AT(EnvVar, name), .required = true, .max = 100,
	  .doc = "of the variable" },
	{ KEY_SCALAR, "value", AT(EnvVar, value), .max = 4000, .doc = "its value" },
	{ KEY_SECRET, "secret", AT(EnvVar, secret),
	  .doc = "or where its value is found: it reaches the host in a file that the service alone reads" },
	KEYS_END
};
static const KeyTable env_table = {
	"variable", sizeof(EnvVar), offsetof(EnvVar, place), env_keys, "A variable of a service"
};
static const Key service_keys[] = {
	{ KEY_NAME, "name", AT(BundleService, name), .required = true, .doc = "name of the service" },
	{ KEY_WORDS, "exec", AT(BundleService, exec), .required = true, .max = 500,
	  .doc = "program of the release and its words; `$PORT` is the instance's own port" },
	{ KEY_INT, "instances", AT(BundleService, instances), .min = 1, .max = 32, .fallback = "1",
	  .doc = "how many run on each of its hosts" },
	{ KEY_ENUM, "listen", AT(BundleService, listen), .words = listen_words, .fallback = "port",
	  .doc = "what an instance listens on: a port of the loopback, `$PORT`, which any user of the machine may "
		 "take while it does not run, or a socket, `$SOCKET`, in a folder of the tenant's own" },
	{ KEY_BOOL, "database", AT(BundleService, database),
	  .doc = "whether it is given the tenant's database, by libpq's variables and a passfile" },
	{ KEY_PART, "health", AT(BundleService, health), .table = &health_table,
	  .doc = "when an instance is fit to serve; none: when it runs" },
	{ KEY_LIST, "env", AT(BundleService, env), .table = &env_table, .max = 200,
	  .doc = "its variables" },
	{ KEY_SPAN, "drain", AT(BundleService, drain_ms), .max = 3600 * 1000, .fallback = "10s",
	  .doc = "for requests under way when an instance is stopped" },
	KEYS_END
};
static const KeyTable service_table = {
	"service", sizeof(BundleService), offsetof(BundleService, place), service_keys, "A program that runs for a tenant"
};
static const Key bundle_keys[] = {
	{ KEY_TEXT, "version", AT(Bundle, version), .required = true, .max = 60,
	  .doc = "name of this release: letters, digits, `.`, `-`, `_`, `+`" },
	{ KEY_PART, "source", AT(Bundle, source), .required = true, .table = &source_table,
	  .doc = "where its files come from" },
	{ KEY_INT, "keep", AT(Bundle, keep), .max = 50, .fallback = "3",
	  .doc = "earlier releases that stay on a host, to go back to" },
	{ KEY_LIST, "services", AT(Bundle, services), .required = true, .table = &service_table,
	  .min = 1, .max = 50, .doc = "what runs of it" },
	KEYS_END
};
static const KeyTable bundle_table = {
	"Bundle spec", sizeof(Bundle), offsetof(Bundle, place), bundle_keys,
	"A versioned set of services that tenants run"
};

/* --- Tenant ----------------------------------------------------------------- */

static const Key service_at_keys[] = {
	{ KEY_NAME, "service", AT(ServiceAt, service), .required = true,
	  .doc = "a service of the bundle" },
	{ KEY_NAME, "host", AT(ServiceAt, host), .required = true,
	  .doc = "the Host that it runs on" },
	{ KEY_INT, "port", AT(ServiceAt, port), .max = 65535, .fallback = "0",
	  .doc = "port that its users come to; 0: it serves nobody over a port" },
	KEYS_END
};
static const KeyTable service_at_table = {
	"placed service", sizeof(ServiceAt), offsetof(ServiceAt, place), service_at_keys,
	"A service on a host"
};
static const Key rollout_keys[] = {
	{ KEY_INT, "canary", AT(Rollout, canary), .max = 1000, .fallback = "1",
	  .doc = "hosts that get a new release first, before any other" },
	{ KEY_INT, "wave", AT(Rollout, wave), .min = 1, .max = 1000, .fallback = "4",
	  .doc = "hosts that get it side by side after that" },
	{ KEY_INT, "budget", AT(Rollout, budget), .max = 1000, .fallback = "1",
	  .doc = "hosts that may fail or be out of reach before no more are begun; a canary may not" },
	KEYS_END
};
static const KeyTable rollout_table = {
	"rollout", sizeof(Rollout), -1, rollout_keys, "How a new release goes over the hosts"
};

/* the part has one key, so its struct is the member itself */
static const Key residency_keys[] = {
	{ KEY_TEXT, "country", .offset = 0, .required = true, .words = countries,
	  .doc = "the country that the data must stay in, ISO 3166-1 alpha-2 in capitals" },
	KEYS_END
};
static const KeyTable residency_table = {
	"residency", sizeof(const char *), -1, residency_keys, "Where the data must stay"
};

static const Key own_fields_keys[] = {
	{ KEY_IDENT, "object", AT(OwnFields, object), .doc = "object of the model" },
	{ KEY_LIST, "fields", AT(OwnFields, fields), .table = &field_table, .min = 1,
	  .max = OBJECT_FIELDS_MAX, .doc = "the tenant's own fields of it" },
	KEYS_END
};
static const KeyTable own_fields_table = {
	"own fields", sizeof(OwnFields), offsetof(OwnFields, place), own_fields_keys,
	"The tenant's own fields of one object of the model"
};

static const Key tenant_gateway_keys[] = {
	{ KEY_ENUM, "pool", AT(TenantGateway, pool), .words = pool_words, .fallback = "session",
	  .doc = "how long a client keeps a server connection" },
	{ KEY_MAYBE, "guard", AT(TenantGateway, guard),
	  .doc = "refuse what a server cannot bound by itself: LOCK, LISTEN, NOTIFY, deep savepoints, "
		 "session settings; usual in mode shared" },
	{ KEY_INT, "connections", AT(TenantGateway, connections), .max = 10000, .fallback = "0",
	  .doc = "its server connections at most, in each gateway; 0: the gateway's own default" },
	KEYS_END
};
static const KeyTable tenant_gateway_table = {
	"gateway", sizeof(TenantGateway), -1, tenant_gateway_keys, "How the gateway serves the tenant"
};

static const Key tenant_keys[] = {
	{ KEY_NAME, "model", AT(Tenant, model), .required = true,
	  .doc = "the Model of its application" },
	{ KEY_ENUM, "mode", AT(Tenant, mode), .required = true, .words = mode_words,
	  .doc = "how its data is kept apart from that of others" },
	{ KEY_NAME, "cluster", AT(Tenant, cluster),
	  .doc = "the Cluster that it lives on; customer-db needs it" },
	{ KEY_NAME, "region", AT(Tenant, region),
	  .doc = "the Region in which a cluster with free capacity is chosen" },
	{ KEY_PART, "residency", AT(Tenant, residency), .table = &residency_table,
	  .doc = "where its data must stay" },
	{ KEY_SPAN, "retention", AT(Tenant, retention_ms), .max = 3650 * DAY_MS,
	  .fallback = "30d", .doc = "how long its data is kept after it was deleted, 3650d at most" },
	{ KEY_NAME, "login", AT(Tenant, login), .fallback = "app",
	  .doc = "its first login" },
	{ KEY_LIST, "objects", AT(Tenant, objects), .table = &object_table,
	  .max = MODEL_OBJECTS_MAX, .doc = "its own objects, beside those of the model" },
	{ KEY_MAP, "fields", AT(Tenant, fields), .table = &own_fields_table,
	  .max = MODEL_OBJECTS_MAX, .doc = "its own fields: object of the model -> fields" },
	{ KEY_NAMES, "drop", AT(Tenant, drop), .max = 97,
	  .doc = "own objects and fields (`x_tag`, `account.x_tier`) whose data may be removed" },
	{ KEY_PART, "gateway", AT(Tenant, gateway), .table = &tenant_gateway_table,
	  .doc = "how the gateway serves it" },
	{ KEY_NAME, "bundle", AT(Tenant, bundle),
	  .doc = "exclusive, hybrid: the Bundle that runs for it" },
	{ KEY_LIST, "services", AT(Tenant, services), .table = &service_at_table, .max = 2000,
	  .doc = "where the bundle's services run" },
	{ KEY_PART, "rollout", AT(Tenant, rollout), .table = &rollout_table,
	  .doc = "how a new release goes over the hosts" },
	{ KEY_NAMES, "acceptCrossings", AT(Tenant, crossings), .words = countries,
	  .doc = "countries beside that of its database in which services with its data may run" },
	{ KEY_BOOL, "acceptVisibleNames", AT(Tenant, accept_visible_names),
	  .doc = "shared: the names of its own objects and fields may be seen by the other tenants of the database" },
	{ KEY_TEXT, "database", AT(Tenant, database), .max = 63,
	  .doc = "customer-db: the database that the customer made" },
	{ KEY_TEXT, "ownerRole", AT(Tenant, owner_role), .max = 63,
	  .doc = "customer-db: the role that owns it" },
	KEYS_END
};
static const KeyTable tenant_table = {
	"Tenant spec", sizeof(Tenant), offsetof(Tenant, place), tenant_keys,
	"One customer: a model, a place for its data, the rules that hold for it"
};

/* --- documents -------------------------------------------------------------- */

static const Key meta_keys[] = {
	{ KEY_NAME, "name", AT(Named, name), .required = true,
	  .doc = "the name by which others refer to it" },
	{ KEY_TEXT, "displayName", AT(Named, display), .max = 200,
	  .doc = "a name for people" },
	KEYS_END
};
static const KeyTable meta_table = {
	"metadata", sizeof(Named), -1, meta_keys, "What it is called"
};
static const Key document_keys[] = {
	{ KEY_TEXT, "apiVersion", AT(Document, api), .required = true, .words = api_words,
	  .doc = "the form of the manifest: copyhold/v1" },
	{ KEY_ENUM, "kind", AT(Document, kind), .required = true, .words = kind_words,
	  .doc = "what the manifest describes" },
	{ KEY_PART, "metadata", AT(Document, meta), .required = true, .table = &meta_table,
	  .doc = "what it is called" },
	{ KEY_NODE, "spec", AT(Document, spec), .required = true,
	  .doc = "the description itself; its keys depend on the kind" },
	KEYS_END
};
const KeyTable document_table = {
	"manifest", sizeof(Document), offsetof(Document, place), document_keys,
	"A document of a YAML file, or a JSON file"
};

static const Key record_keys[] = {
	{ KEY_TEXT, "displayName", AT(Document, meta.display), .max = 200,
	  .doc = "a name for people" },
	{ KEY_NODE, "spec", AT(Document, spec), .required = true,
	  .doc = "the description itself" },
	KEYS_END
};
const KeyTable record_table = {
	"record", sizeof(Document), offsetof(Document, place), record_keys,
	"A manifest as the catalogue keeps it"
};

/* clang-format on */

const Kind kinds[] = {
	[KIND_REGION] = { "Region", "regions", &region_table, "a place with a legal country" },
	[KIND_HOST] = { "Host", "hosts", &host_table, "a machine that is reached over SSH" },
	[KIND_CLUSTER] = { "Cluster", "clusters", &cluster_table, "a PostgreSQL server" },
	[KIND_MODEL] = { "Model", "models", &model_table, "the objects of an application" },
	[KIND_BUNDLE] = { "Bundle", "bundles", &bundle_table, "a versioned set of services" },
	[KIND_TENANT] = { "Tenant", "tenants", &tenant_table, "a customer" },
};
const size_t kinds_n = LENGTH(kinds);

const Kind *
kind_find(const char *name)
{
	for (size_t i = 0; i < kinds_n; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}
