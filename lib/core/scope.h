/*
 * scope.h - one scope of a run ("tenant/acme"), walked forward or back; used
 * by engine.c alone.
 */
#pragma once

#include "lib/core/engine.h"

typedef struct ScopeRun {
	const char	*scope;
	const char	*cluster;	/* whose lane it runs in; "" for none */
	const char	*host;		/* that it acts on, or NULL */
	const char	*shared;	/* the shared database that a step of it records a tenant of, or NULL */
	int64_t		 run, fence;
	struct { StepRow **at; size_t n, cap; } rows;
	bool		 backward;	/* an undo was begun or asked for */
	bool		 stays;		/* in an undo: others stand on it */
	ScopeResult	 result;
} ScopeRun;

/* Where the scope's steps act, as the catalogue has it now: env->at and env->cluster.  What is not yet
 * recorded has no place. */
bool	 scope_place(Ctx *cx, Home *home, const ScopeRun *s, StepEnv *env);
/* The same for one step of it, of which `env` has the scope's place: it may act elsewhere. */
bool	 scope_place_step(Ctx *cx, Home *home, const Step *step, StepEnv *env);
/* A scope whose steps are done, and whose last outcomes go into the catalogue with the first of the
 * lane's next scope: a commit waits for the disk.  Should we die before, they are looked for. */
typedef struct ScopeTail ScopeTail;
/* Walks to an end and fills s->result.  Never returns a failure: it is the result.  With `tail` the
 * end may be left to the next call of the lane, or to scope_settle(): *tail is the scope before, or
 * NULL, which has its result then, and becomes this one, or NULL.  cx->mem lives as long. */
void	 scope_walk(Ctx *cx, Home *home, Conns *conns, ScopeRun *s, ScopeTail **tail);
void	 scope_settle(ScopeTail *tail);
bool	 scope_past_pivot(const ScopeRun *s);
bool	 scope_begun(const ScopeRun *s);	/* some step is no longer waiting */
