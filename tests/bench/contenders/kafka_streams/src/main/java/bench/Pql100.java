package bench;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import net.jpountz.xxhash.XXHash64;
import net.jpountz.xxhash.XXHashFactory;

/** The pack `pql-100` version 1: what an event says about a lead, and what that earns (CONTRACT.md 3 and 4). */
final class Pql100 {
  static final String NAME = "pql-100";
  static final int VERSION = 1;
  static final String[] RULES = {
    "feature_adoption", "workflow_success", "compliance", "time_to_first_value", "community",
    "documentation", "team_size", "company_revenue", "industry"
  };
  static final String[] GROUPS = {"usage", "engagement", "business"};
  static final int[] GROUP_OF_RULE = {0, 0, 0, 1, 1, 1, 2, 2, 2};
  static final int[] POINTS_MAX = {15, 15, 10, 15, 10, 5, 10, 10, 10};
  static final String[] TIERS = {"unqualified", "bronze", "silver", "gold", "platinum"};
  static final int[] TIER_FROM = {0, 60, 75, 85, 95};
  static final String[] HANDOFF = {null, "delayed", "standard", "standard", "immediate"};
  static final int SALES_READY_FROM = 2;

  private static final XXHash64 HASH = XXHashFactory.fastestJavaInstance().hash64();
  private static final int EVENT_ID_SEED = 1;
  private static final Set<String> LEVELS = Set.of("none", "basic", "advanced");
  private static final Map<String, Integer> INDUSTRY_POINTS =
      Map.ofEntries(
          Map.entry("tech", 5), Map.entry("technology", 5), Map.entry("software", 5), Map.entry("saas", 5),
          Map.entry("devtools", 5), Map.entry("edtech", 5), Map.entry("cybersecurity", 5),
          Map.entry("finance", 10), Map.entry("financial services", 10), Map.entry("fintech", 10),
          Map.entry("banking", 10), Map.entry("insurance", 10), Map.entry("healthcare", 10),
          Map.entry("health care", 10), Map.entry("healthtech", 10), Map.entry("enterprise", 10));
  private static final long HOUR_MS = 3_600_000L;

  private Pql100() {}

  /** Fold *event* into *lead*; whether it changed anything that a rule reads. */
  static boolean fold(Lead lead, Event event) {
    long at = event.occurredAtMs;
    lead.firstSeenMs = lead.firstSeenMs == Lead.UNSET ? at : Math.min(lead.firstSeenMs, at);
    lead.lastSeenMs = Math.max(lead.lastSeenMs, at);
    if (event.accountId != null) {
      lead.account.take(at, event.eventId, event.accountId, 0);
    }
    String name = Values.word(event.name);
    return switch (name == null ? "" : name) {
      case "feature used" -> foldFeature(lead, event);
      case "workflow completed", "workflow success" -> foldRun(lead, event);
      case "compliance level changed" -> foldLevel(lead, event);
      case "trial created" -> foldTrial(lead, at);
      case "community post" -> foldPost(lead, event);
      case "feature requested" -> lead.requests.add(hash(event.requestId, event));
      case "tutorial completed" -> foldTutorial(lead);
      case "profile completed", "profile updated", "team size changed", "identify", "group" -> foldProfile(lead, event);
      case "trial converted", "subscription started" -> foldConverted(lead, at);
      default -> false;
    };
  }

  private static long hash(Object given, Event event) {
    String id = Values.id(given);
    return id == null ? hash(event.eventId, EVENT_ID_SEED) : hash(id, 0);
  }

  private static long hash(String text, int seed) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return HASH.hash(bytes, 0, bytes.length, seed);
  }

  private static boolean foldFeature(Lead lead, Event event) {
    String feature = Values.label(event.feature);
    feature = feature == null ? Values.label(event.featureName) : feature;
    return feature != null && lead.features.add(hash(feature, 0));
  }

  private static boolean foldRun(Lead lead, Event event) {
    if (!Values.isAbsent(event.status) && !"success".equals(Values.word(event.status))) {
      return false;
    }
    boolean changed = lead.runs.add(hash(event.runId, event));
    if (lead.firstSuccessMs == Lead.UNSET || event.occurredAtMs < lead.firstSuccessMs) {
      lead.firstSuccessMs = event.occurredAtMs;
      changed = true;
    }
    return changed;
  }

  private static boolean foldLevel(Lead lead, Event event) {
    String level = Values.word(event.level);
    return level != null && LEVELS.contains(level) && lead.level.take(event.occurredAtMs, event.eventId, level, 0);
  }

  private static boolean foldTrial(Lead lead, long at) {
    if (lead.trialStartMs != Lead.UNSET && at >= lead.trialStartMs) {
      return false;
    }
    lead.trialStartMs = at;
    return true;
  }

  private static boolean foldConverted(Lead lead, long at) {
    lead.convertedMs = lead.convertedMs == Lead.UNSET ? at : Math.min(lead.convertedMs, at);
    return false; // no rule reads it
  }

  private static boolean foldPost(Lead lead, Event event) {
    String kind = Values.isAbsent(event.kind) ? "forum post" : Values.word(event.kind);
    if ("forum post".equals(kind)) {
      return lead.posts.add(hash(event.postId, event));
    }
    return "feature request".equals(kind) && lead.requests.add(hash(event.postId, event));
  }

  private static boolean foldTutorial(Lead lead) {
    boolean changed = !lead.tutorial;
    lead.tutorial = true;
    return changed;
  }

  private static boolean foldProfile(Lead lead, Event event) {
    Double team = Values.whole(event.teamSize);
    team = team == null ? Values.whole(event.employees) : team;
    Double revenue = Values.number(event.revenueUsd);
    revenue = revenue == null ? Values.amount(event.revenue) : revenue;
    boolean changed = team != null && lead.teamSize.take(event.occurredAtMs, event.eventId, null, team);
    changed |= revenue != null && lead.revenue.take(event.occurredAtMs, event.eventId, null, revenue);
    changed |= takeWord(lead.industry, event, event.industry);
    changed |= takeWord(lead.segment, event, event.segment);
    return changed;
  }

  private static boolean takeWord(Lead.Latest value, Event event, Object given) {
    String word = Values.word(given);
    return word != null && value.take(event.occurredAtMs, event.eventId, word, 0);
  }

  /** The points of every rule, into *points*. */
  static void points(Lead lead, int[] points) {
    points[0] = atLeast(lead.features.count(), 3, 5, 7);
    points[1] = atLeast(lead.runs.count(), 5, 20, 50);
    points[2] = "advanced".equals(lead.level.word) ? 10 : "basic".equals(lead.level.word) ? 5 : 0;
    points[3] = firstValuePoints(lead);
    points[4] = Math.min(10, 2 * lead.posts.count() + 5 * lead.requests.count());
    points[5] = lead.tutorial ? 5 : 0;
    points[6] = !lead.teamSize.known() || lead.teamSize.number < 2 ? 0 : lead.teamSize.number < 6 ? 5 : 10;
    points[7] = !lead.revenue.known() || lead.revenue.number <= 0 ? 0 : lead.revenue.number < 10_000_000 ? 5 : 10;
    points[8] = Math.max(industryPoints(lead), segmentPoints(lead));
  }

  private static int atLeast(int count, int low, int middle, int high) {
    return count >= high ? 15 : count >= middle ? 10 : count >= low ? 5 : 0;
  }

  private static int firstValuePoints(Lead lead) {
    if (lead.trialStartMs == Lead.UNSET || lead.firstSuccessMs == Lead.UNSET) {
      return 0;
    }
    long elapsed = lead.firstSuccessMs - lead.trialStartMs;
    if (elapsed < 0) {
      return 0;
    }
    return elapsed < HOUR_MS ? 15 : elapsed < 24 * HOUR_MS ? 10 : elapsed < 7 * 24 * HOUR_MS ? 5 : 0;
  }

  static int industryPoints(Lead lead) {
    return lead.industry.known() ? INDUSTRY_POINTS.getOrDefault(lead.industry.word, 0) : 0;
  }

  static int segmentPoints(Lead lead) {
    return "enterprise".equals(lead.segment.word) ? 10 : 0;
  }

  static int tier(int score) {
    int tier = TIERS.length - 1;
    while (score < TIER_FROM[tier]) {
      tier--;
    }
    return tier;
  }
}
