/*
 * records_intern.h - the steps of shared databases (records_shared.c), for the
 * one table of the catalogue's steps (records.c).
 */
#pragma once

#include "lib/core/records.h"

bool	 records_put_shared(Ctx *cx, StepEnv *env);
bool	 records_move_shared(Ctx *cx, StepEnv *env);
bool	 records_return_shared(Ctx *cx, StepEnv *env);
bool	 records_drop_shared(Ctx *cx, StepEnv *env);
