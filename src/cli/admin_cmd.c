/* "crocket admin": the administration commands. */
#include "admin/admin.h"
#include "cli/cmd.h"

int cmd_admin(int argc, char **argv)
{
    return admin_main(argc, argv);
}
