package bench;

/** The points of some rule of a lead changed. */
record Change(
    String id, Lead lead, int[] before, int[] after, int scoreBefore, int scoreAfter, Event event, Lead.Ref cause) {}
