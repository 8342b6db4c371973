package bench;

import java.util.Arrays;

/** All that is kept about a lead. Sets hold 8-byte hashes up to a bound, and are forgotten there. */
final class Lead {
  static final int RULES = 9;
  static final long UNSET = Long.MIN_VALUE;

  /** The latest known value: the greatest by time, then event id, then value. */
  static final class Latest {
    long atMs = UNSET;
    String eventId;
    String word;
    double number;

    boolean known() {
      return atMs != UNSET;
    }

    boolean take(long at, String id, String newWord, double newNumber) {
      if (at < atMs || (at == atMs && !isGreater(id, newWord, newNumber))) {
        return false;
      }
      atMs = at;
      eventId = id;
      word = newWord;
      number = newNumber;
      return true;
    }

    private boolean isGreater(String id, String newWord, double newNumber) {
      int byId = Values.compare(id, eventId);
      if (byId != 0) {
        return byId > 0;
      }
      return newWord == null ? newNumber > number : Values.compare(newWord, word) > 0;
    }
  }

  /** Distinct hashes, sorted; at *bound* it stops counting and forgets them. */
  static final class Distinct {
    static final long[] NONE = {};
    final int bound;
    long[] hashes = NONE;
    boolean full;

    Distinct(int bound) {
      this.bound = bound;
    }

    int count() {
      return full ? bound : hashes.length;
    }

    boolean add(long hash) {
      if (full) {
        return false;
      }
      int at = Arrays.binarySearch(hashes, hash);
      if (at >= 0) {
        return false;
      }
      if (hashes.length + 1 >= bound) {
        full = true;
        hashes = NONE;
        return true;
      }
      long[] more = new long[hashes.length + 1];
      System.arraycopy(hashes, 0, more, 0, -at - 1);
      more[-at - 1] = hash;
      System.arraycopy(hashes, -at - 1, more, -at, hashes.length + at + 1);
      hashes = more;
      return true;
    }
  }

  /** An event by its id and where its record lies; the topic is the one input topic. */
  record Ref(String eventId, int partition, long offset) {}

  long firstSeenMs = UNSET;
  long lastSeenMs = UNSET;
  final Latest account = new Latest();
  final Distinct features = new Distinct(7);
  final Distinct runs = new Distinct(50);
  final Distinct posts = new Distinct(5);
  final Distinct requests = new Distinct(2);
  long firstSuccessMs = UNSET;
  long trialStartMs = UNSET;
  long convertedMs = UNSET;
  boolean tutorial;
  final Latest level = new Latest();
  final Latest teamSize = new Latest();
  final Latest revenue = new Latest();
  final Latest industry = new Latest();
  final Latest segment = new Latest();

  final int[] points = new int[RULES];
  final Ref[] movedBy = new Ref[RULES];
  int sequence;
  int announced;
}
