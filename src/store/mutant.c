#include "store/mutant.h"

#ifdef CROCKET_MUTANTS
enum store_mutant store_mutant;
#endif
