/*
 * unit.h - cmocka, with what its header wants before it; our fail() stays ours.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#undef fail
