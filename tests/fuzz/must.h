/* What a fuzz target claims: where it does not hold, the target ends and says which claim it was. */
#ifndef CROCKET_TESTS_FUZZ_MUST_H
#define CROCKET_TESTS_FUZZ_MUST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define must(...) must_hold((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

static inline void must_hold(bool ok, const char *claim, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
    abort();
}

#endif
