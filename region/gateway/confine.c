#include "region/gateway/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- user and capabilities ----------------------------------------------------------- */

static bool
has_capability(unsigned which)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2] = { 0 };

	return syscall(SYS_capget, &head, sets) == 0 &&
	    (sets[which / 32].effective >> which % 32 & 1) != 0;
}

bool
confine_can_drop(void)
{
	return has_capability(CAP_SETUID) && has_capability(CAP_SETGID) && has_capability(CAP_KILL);
}

bool
confine_drop(uint32_t uid, uint32_t gid)
{
	return setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
	    setresuid(uid, uid, uid) == 0 && getuid() == uid && geteuid() == uid;
}

/* Only root's go by themselves when it becomes somebody else. */
static bool
drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) == 0;
}

/* --- files, processes, signals ---------------------------------------------------------- */

/* As in later kernels than the one whose header we are built with. */
#define ACCESS_REFER     (UINT64_C(1) << 13) /* version 2 */
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14) /* version 3 */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) /* version 5 */
#define ACCESS_FIRST     (ACCESS_REFER - 1)
#define SCOPE_ALL        UINT64_C(3) /* version 6: abstract sockets, signals */

#define MAY_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

typedef struct Rules {
	uint64_t files, net, scoped;
} Rules;

static Rules
rules_of(long version)
{
	Rules r = { .files = ACCESS_FIRST };

	r.files |= version >= 2 ? ACCESS_REFER : 0;
	r.files |= version >= 3 ? ACCESS_TRUNCATE : 0;
	r.files |= version >= 5 ? ACCESS_IOCTL_DEV : 0;
	r.scoped = version >= 6 ? SCOPE_ALL : 0;
	return r;
}

/* What the kernel of this version knows of it. */
static size_t
size_of_rules(long version)
{
	return version >= 6 ? sizeof(Rules) : sizeof(uint64_t);
}

/* One that is not there is not missed. */
static bool
allow(int rules, const char *path)
{
	struct landlock_path_beneath_attr beneath = { .allowed_access = MAY_READ };
	struct stat st;

	beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return true;
	if (fstat(beneath.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		beneath.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
	bool ok = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) ==
	    0;
	close(beneath.parent_fd);
	return ok;
}

/* The system's authorities and its name service; libraries may come late. */
static bool
allow_all(int rules)
{
	static const char *const paths[] = { "/usr", "/lib", "/lib64", "/etc/ssl", "/etc/pki",
		"/etc/ca-certificates", "/etc/crypto-policies", "/etc/hosts", "/etc/resolv.conf",
		"/run/systemd/resolve", "/etc/nsswitch.conf", "/etc/localtime", "/dev/null",
		"/dev/urandom" };

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (!allow(rules, paths[i]))
			return false;
	return true;
}

static bool
leave_files(void)
{
	long version = syscall(
	    SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	Rules wanted = rules_of(version);

	if (version < 1) /* the kernel has none, or it is switched off */
		return true;
	int rules = (int)syscall(SYS_landlock_create_ruleset, &wanted, size_of_rules(version), 0);
	if (rules < 0)
		return false;
	bool ok = allow_all(rules) && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	close(rules);
	return ok;
}

bool
confine_rest(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && drop_capabilities() && leave_files();
}
