/*
 * vec.h - a typed growing array in an arena.
 *
 *	VEC(char *) names = {0};
 *	vec_push(mem, &names, "x");
 *	for (size_t i = 0; i < names.n; i++) use(names.at[i]);
 */
#pragma once

#include "lib/base/arena.h"

#define VEC(T) struct { T *at; size_t n, cap; }

#define vec_push(mem, v, item) do {							\
	if ((v)->n == (v)->cap) {							\
		size_t vec_cap_ = (v)->cap ? (v)->cap * 2 : 8;				\
		(v)->at = arena_grow((mem), (v)->at, (v)->cap * sizeof *(v)->at,	\
		    vec_cap_ * sizeof *(v)->at);					\
		(v)->cap = vec_cap_;							\
	}										\
	(v)->at[(v)->n++] = (item);							\
} while (0)

#define LENGTH(array) (sizeof(array) / sizeof *(array))
