#include "lib/core/release.h"

#include <string.h>

static const ReleaseDriver *registered;

void
release_register(const ReleaseDriver *driver)
{
	registered = driver;
}

const ReleaseDriver *
release_driver(void)
{
	return registered;
}
