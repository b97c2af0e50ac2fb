// Nurseries: structured concurrency. KL07 to KL09, P8; decisions 3, 4, 5.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

using copse::hub;
using copse::nursery;
using copse::nursery_error;
using copse::sleep;
using copse::spawn;
using copse::with_nursery;
using copse::yield;
using copse_test::at_end;
using copse_test::error_recorder;
using copse_test::what_is_thrown_by;
using copse_test::what_of;
using namespace std::chrono_literals;

namespace {

class Nursery : public copse_test::hub_test {};

void fail(const std::string& what) { throw std::runtime_error(what); }

TEST_F(Nursery, IsLeftWhenAllChildrenHaveEnded) {
    with_nursery([this](nursery& n) {
        for (int i = 3; i > 0; --i) {
            n.spawn([this, i] {
                sleep(std::chrono::seconds(i));
                log(i);
            });
        }
        log("body");
    });
    EXPECT_EQ(log.text(), "body 1 2 3");
    EXPECT_EQ(time.elapsed(), 3s);
}

TEST_F(Nursery, ReturnsWhatItsBodyReturns) {
    const auto made = with_nursery([](nursery& n) {
        const auto child = n.spawn([](int a, int b) { return a + b; }, 1, 2);
        return std::make_unique<int>(child.get());
    });
    EXPECT_EQ(*made, 3);
    with_nursery([](nursery&) {});
}

TEST_F(Nursery, AChildMayStartSiblingsAlsoWhenTheBodyIsOver) {
    with_nursery([this](nursery& n) {
        n.spawn([this, &n] {
            sleep(1s);
            n.spawn([this] {
                sleep(1s);
                log("sibling");
            });
        });
    });
    EXPECT_EQ(log.text(), "sibling");
    EXPECT_EQ(time.elapsed(), 2s);
}

TEST_F(Nursery, TheFirstFailureKillsTheSiblingsAndIsThrownAsItself) {
    const error_recorder errors;
    EXPECT_EQ(what_is_thrown_by([this] {
                  with_nursery([this](nursery& n) {
                      n.spawn([this] {
                          const at_end end([this] { log("sibling"); });
                          sleep(1h);
                      });
                      n.spawn([] {
                          sleep(1s);
                          fail("child");
                      });
                      n.spawn({.name = "late"}, [this] {
                          sleep(2s);
                          log("never");
                      });
                  });
                  log("never");
              }),
              "child");
    EXPECT_EQ(log.text(), "sibling");
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(errors.count(), 0u) << "it was observed by the nursery";
}

TEST_F(Nursery, AFailureNeverStartsTheUnstarted) {
    EXPECT_EQ(what_is_thrown_by([this] {
                  with_nursery([this](nursery& n) {
                      n.spawn([] { fail("first"); });
                      n.spawn([this, end = at_end([this] { log("destroyed"); })] { log("never"); });
                  });
              }),
              "first");
    EXPECT_EQ(log.text(), "destroyed");
}

TEST_F(Nursery, AFailureKillsTheBodyAtItsWait) {
    EXPECT_EQ(what_is_thrown_by([this] {
                  with_nursery([this](nursery& n) {
                      const at_end end([this] { log("unwound"); });
                      n.spawn([] { fail("child"); });
                      try {
                          sleep(1h);
                      } catch (const std::exception&) {
                          log("never: it is no std::exception");
                      }
                  });
              }),
              "child");
    EXPECT_EQ(log.text(), "unwound");
    EXPECT_EQ(time.elapsed(), 0s);
    sleep(1s);  // nothing is left over
}

TEST_F(Nursery, ABodyThatIsOverOrSwallowsTheKillStillThrowsTheFailure) {
    EXPECT_EQ(what_is_thrown_by([this] {
                  with_nursery([this](nursery& n) {
                      n.spawn([] { fail("child"); });
                      try {
                          sleep(1h);
                      } catch (...) {
                          log("swallowed");
                      }
                      sleep(1s);
                      log("went on", n.closing());
                  });
              }),
              "child");
    EXPECT_EQ(log.text(), "swallowed went on1") << "once is enough";
}

// The body never waits again: nothing must be thrown outside.
TEST_F(Nursery, AnUndeliveredKillOfTheBodyIsTakenBack) {
    EXPECT_EQ(what_is_thrown_by([] {
                  with_nursery([](nursery& n) {
                      n.spawn([] { fail("child"); });
                      const copse::shield keep;
                      sleep(1s);
                  });
              }),
              "child");
    sleep(1s);
    EXPECT_EQ(time.elapsed(), 2s);
}

TEST_F(Nursery, SeveralFailuresComeTogether) {
    const auto run = [] {
        with_nursery([](nursery& n) {
            for (const char* name : {"a", "b"}) {
                n.spawn([name] {
                    try {
                        sleep(1h);
                    } catch (const copse::greenlet_exit&) {
                        fail(name);
                    }
                });
            }
            yield();
            throw 7;
        });
    };
    try {
        run();
        FAIL() << "nothing was thrown";
    } catch (const nursery_error& e) {
        ASSERT_EQ(e.failures().size(), 3u);
        EXPECT_EQ(what_of(e.failures()[0]), "int 7");
        EXPECT_EQ(what_of(e.failures()[1]), "a");
        EXPECT_STREQ(e.what(), "nursery: 3 failures: an exception that is not a std::exception; a; b");
        const nursery_error copy = e;
        EXPECT_EQ(copy.failures().size(), 3u);
    }
}

TEST_F(Nursery, AFailureOfTheBodyKillsTheChildrenAndIsThrownAsItself) {
    EXPECT_EQ(what_is_thrown_by([this] {
                  with_nursery([this](nursery& n) {
                      n.spawn([this] {
                          try {
                              sleep(1h);
                          } catch (const copse::greenlet_exit&) {
                              sleep(1s);
                              log("cleaned");
                              throw;
                          }
                      });
                      yield();
                      fail("body");
                  });
              }),
              "body");
    EXPECT_EQ(log.text(), "cleaned");
}

TEST_F(Nursery, AChildKilledByOthersIsNoFailure) {
    with_nursery([](nursery& n) {
        const auto child = n.spawn([] { sleep(1h); });
        n.spawn([] { sleep(1s); });
        yield();
        child.kill();
    });
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(what_is_thrown_by([] {
                  with_nursery([](nursery& n) {
                      const auto child = n.spawn([] { sleep(1h); });
                      yield();
                      child.kill(std::make_exception_ptr(std::runtime_error("with a failure")));
                  });
              }),
              "with a failure");
}

TEST_F(Nursery, AKillOfTheCallerEndsTheChildrenFirst) {
    for (const bool in_body : {true, false}) {
        const auto parent = spawn([&] {
            const at_end end([this] { log("parent"); });
            with_nursery([&](nursery& n) {
                n.spawn([this] {
                    try {
                        sleep(1h);
                    } catch (const copse::greenlet_exit&) {
                        sleep(1s);
                        log("child");
                        throw;
                    }
                });
                if (in_body) sleep(1h);
            });
            log("never");
        });
        yield();
        yield();
        parent.request_kill();
        yield();
        parent.request_kill();  // does not break the wait for the children
        parent.join();
        EXPECT_TRUE(parent.killed());
        EXPECT_EQ(log.take(), "child parent");
    }
    EXPECT_EQ(time.elapsed(), 2s);
}

TEST_F(Nursery, ATimeoutOfTheCallerEndsTheChildrenAndGoesOnAsItself) {
    bool ours = false;
    const copse::timeout limit(1s);
    try {
        with_nursery([this](nursery& n) {
            n.spawn([this] {
                const at_end end([this] { log("child"); });
                sleep(1h);
            });
        });
    } catch (const copse::timeout_expired& e) {
        ours = limit.threw(e);
    }
    EXPECT_TRUE(ours);
    EXPECT_EQ(log.text(), "child");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(Nursery, FailuresDuringAKillOfTheCallerAreTold) {
    const error_recorder errors;
    const auto parent = spawn([] {
        with_nursery([](nursery& n) {
            n.spawn([] {
                try {
                    sleep(1h);
                } catch (const copse::greenlet_exit&) {
                    fail("clean-up");
                }
            });
        });
    });
    yield();
    yield();
    parent.kill();
    EXPECT_TRUE(parent.killed());
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "clean-up");
}

TEST_F(Nursery, SpawningWhileItsChildrenAreEndedIsRefused) {
    const auto result = with_nursery([this](nursery& n) {
        n.spawn([this, &n] {
            try {
                sleep(1h);
            } catch (const copse::greenlet_exit&) {
                EXPECT_THROW(n.spawn([] {}), copse::nursery_closed);
                log("refused");
                throw;
            }
        });
        yield();
        n.cancel();
        EXPECT_TRUE(n.closing());
        EXPECT_EQ(what_is_thrown_by([&] { n.spawn([] {}); }), "spawn: the nursery is ending its children");
        return 5;
    });
    EXPECT_EQ(result, 5) << "cancel leaves the body alone";
    EXPECT_EQ(log.text(), "refused");
}

TEST_F(Nursery, AChildMayCancel) {
    with_nursery([this](nursery& n) {
        n.spawn([] { sleep(1h); });
        n.spawn([this, &n] {
            sleep(1s);
            n.cancel();
            log("found");
        });
    });
    EXPECT_EQ(log.text(), "found");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(Nursery, NestedOnesEndFromTheInsideOut) {
    EXPECT_EQ(what_is_thrown_by([this] {
                  with_nursery([this](nursery& outer) {
                      outer.spawn([] {
                          sleep(1s);
                          fail("outer child");
                      });
                      with_nursery([this](nursery& inner) {
                          inner.spawn([this] {
                              try {
                                  sleep(1h);
                              } catch (const copse::greenlet_exit&) {
                                  sleep(1s);
                                  log("inner child");
                                  throw;
                              }
                          });
                      });
                      log("never");
                  });
              }),
              "outer child");
    EXPECT_EQ(log.text(), "inner child");
    EXPECT_EQ(time.elapsed(), 2s);
}

TEST_F(Nursery, AFailureOfAnInnerOnePassesThroughTheOuter) {
    EXPECT_EQ(what_is_thrown_by([] {
                  with_nursery([](nursery& outer) {
                      outer.spawn([] { sleep(1h); });
                      outer.spawn([] { with_nursery([](nursery& inner) { inner.spawn([] { fail("deep"); }); }); });
                  });
              }),
              "deep");
    EXPECT_EQ(time.elapsed(), 0s);
}

TEST_F(Nursery, ThreeLevelsAreKilledTogether) {
    const auto top = spawn([this] {
        std::function<void(int)> level = [&](int depth) {
            const at_end end([this, depth] { log(depth); });
            if (depth == 3) sleep(1h);
            with_nursery([&](nursery& n) { n.spawn([&, depth] { level(depth + 1); }); });
        };
        level(1);
    });
    for (int i = 0; i < 5; ++i) yield();
    top.kill();
    EXPECT_EQ(log.text(), "3 2 1");
}

// Decision 6: told to main when nothing can wake it, after the children were ended.
TEST_F(Nursery, ADeadlockEndsTheChildren) {
    EXPECT_THROW(with_nursery([this](nursery& n) {
                     n.spawn([this] {
                         const at_end end([this] { log("child"); });
                         copse::semaphore never(0);
                         never.acquire();
                     });
                 }),
                 copse::would_block_forever);
    EXPECT_EQ(log.text(), "child");
}

TEST_F(Nursery, InAGreenletMadeByHand) {
    const auto f = spawn([this] {
        copse::greenlet g([this] {
            with_nursery([this](nursery& n) {
                n.spawn([this] {
                    sleep(1s);
                    log("child");
                });
            });
            log("left");
        });
        g.switch_to();
        log("back");
    });
    f.join();
    EXPECT_EQ(log.text(), "child left back");
}

TEST_F(Nursery, InTheHubItIsRefused) {
    bool refused = false;
    hub::current().post([&] {
        try {
            with_nursery([](nursery&) {});
        } catch (const copse::blocking_in_hub&) {
            refused = true;
        }
    });
    sleep(1ns);
    EXPECT_TRUE(refused);
}

TEST_F(Nursery, ManyChildrenThatAllFail) {
    try {
        with_nursery([](nursery& n) {
            for (int i = 0; i < 100; ++i) {
                n.spawn([i] {
                    const copse::shield keep;
                    sleep(std::chrono::milliseconds(i));
                    fail(std::to_string(i));
                });
            }
            yield();
        });
        FAIL() << "nothing was thrown";
    } catch (const nursery_error& e) {
        EXPECT_EQ(e.failures().size(), 100u);
        EXPECT_EQ(what_of(e.failures().back()), "99");
    }
}

}  // namespace
