package crocket.e2e;

/** What was found is not what has to be there. */
final class Mismatch extends RuntimeException {
    private static final long serialVersionUID = 1;

    Mismatch(String what) {
        super(what);
    }
}
