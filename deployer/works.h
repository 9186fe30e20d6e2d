/*
 * works.h - whether a tenant's login can work: a row of every object made,
 * read, changed and removed in a transaction that is rolled back.
 */
#pragma once

#include "lib/core/place.h"

/* A line for all objects that do, one for each that does not; a read-only login must be refused. */
bool	 works_try(Ctx *cx, Pg *pg, const Placement *at, const Model *m, const Login *login,
	    Attempts *out);
